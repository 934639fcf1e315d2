"""The one user of the demo's gallery, who stays the same as long as the data folder exists."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
from pathlib import Path

from argon2 import PasswordHasher

NAME = "demo"
# What the gallery itself asks for: the least that OWASP recommends.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


@dataclasses.dataclass(frozen=True)
class Login:
    """A user of the demo's gallery. `line` is the line of GALLERY_USERS: name:role:hash."""

    name: str
    password: str
    line: str

    def __str__(self) -> str:
        return f"user: {self.name}   password: {self.password}"


def load_or_create(file: Path) -> Login:
    """The login in the file; if there is no file, create it with a new login.

    The file has the hash, too: a new one would end the sessions of those who are signed in.
    """
    try:
        return Login(**json.loads(file.read_text()))
    except (FileNotFoundError, ValueError, TypeError):  # none, or not whole
        password = "-".join(secrets.token_hex(2) for _ in range(4))
        login = Login(NAME, password, f"{NAME}:admin:{_HASHER.hash(password)}")
        number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(number, "w") as out:
            json.dump(dataclasses.asdict(login), out)
        return login
