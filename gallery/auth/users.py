"""Who may come in, and what each may do."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable
from typing import Literal, cast

from gallery.auth import passwords

Role = Literal["admin", "viewer"]
ROLES = ("admin", "viewer")
NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}")
_HASH = re.compile(
    r"\$argon2id\$v=19\$m=([1-9][0-9]{0,8}),t=([1-9][0-9]?),p=([1-8])"
    r"\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{16,}"
)
MAX_MEMORY = 65_536  # KiB that checking a password may take, in a container that has little
_MAKE = "python -m gallery --add-user NAME prints a line"


@dataclasses.dataclass(frozen=True)
class User:
    """A user who may sign in. An admin may delete; a viewer may only look."""

    name: str
    role: Role

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"


@dataclasses.dataclass(frozen=True)
class Account:
    """A user with the hash of the password."""

    user: User
    hash: str = dataclasses.field(repr=False)

    @property
    def line(self) -> str:
        """As it stands in GALLERY_USERS."""
        return f"{self.user.name}:{self.user.role}:{self.hash}"

    @property
    def mark(self) -> str:
        """What changes with the name, the role or the password, and tells nothing of them."""
        return hashlib.sha256(self.line.encode()).hexdigest()


class Users:
    """All accounts, by name."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._accounts = {account.user.name: account for account in accounts}
        self._first = next(iter(self._accounts.values()))

    def __len__(self) -> int:
        return len(self._accounts)

    def __repr__(self) -> str:
        return f"Users({', '.join(self._accounts)})"

    def get(self, name: str) -> Account | None:
        return self._accounts.get(name)

    def check(self, name: str, password: str) -> Account | None:
        """The account of `name`, if this is its password. Blocks for about 30 ms.

        An unknown name costs the same work, so that the time does not tell which names there are.
        """
        account = self._accounts.get(name)
        same = passwords.matches(password, (account or self._first).hash)
        return account if same else None


def parse(text: str) -> Users:
    """Read lines `name:role:hash`; empty ones, and what begins with #, are passed over.

    Raises:
        ValueError: with the end of a sentence that begins with GALLERY_USERS; it names each line
            that is wrong, and no hash.
    """
    accounts: dict[str, Account] = {}
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            account = _account(line.strip())
            if account.user.name in accounts:
                raise ValueError(f"names {account.user.name} a second time: keep one of them")
        except ValueError as error:
            problems.append(f"line {number} {error}")
            continue
        accounts[account.user.name] = account
    if problems:
        raise ValueError(f"has errors: {'; '.join(problems)}")
    if not accounts:
        raise ValueError(f"has no users: {_MAKE}")
    return Users(accounts.values())


def _account(line: str) -> Account:
    name, _, rest = line.partition(":")
    role, _, hash = rest.partition(":")
    if not NAME.fullmatch(name):
        raise ValueError(
            "does not begin with a user's name (1 to 63 characters of a-z, 0-9 and . _ @ -,"
            " beginning with a letter or digit) and a colon"
        )
    if role not in ROLES:
        raise ValueError(f"({name}) has no role: write {name}:admin:hash or {name}:viewer:hash")
    found = _HASH.fullmatch(hash)
    if found is None:
        raise ValueError(
            f"({name}) has no complete hash beginning with $argon2id$v=19$: {_MAKE}; if it was"
            " complete, something took each $ for a variable: use GALLERY_USERS_FILE, or write $$"
            " for each $ in a compose file"
        )
    if int(found[1]) > MAX_MEMORY:
        raise ValueError(
            f"({name}) has a hash that takes {int(found[1]) // 1024} MiB to check; at"
            f" most {MAX_MEMORY // 1024} are allowed: {_MAKE}"
        )
    return Account(User(name, cast(Role, role)), hash)
