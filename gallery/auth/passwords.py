"""Passwords: how they are kept, compared and made up."""

from __future__ import annotations

import secrets
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from common.http.exposure import SHORTEST

LONGEST = 1000  # signs; far beyond the 64 that NIST SP 800-63B wants taken
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is easily taken for another
_GROUPS, _GROUP = 4, 5  # 99 bits
# The least that OWASP recommends: the container has little memory, and it is one at a time.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def hash_password(password: str) -> str:
    """What is kept of it: `$argon2id$...`. Takes about 30 ms, and 19 MiB meanwhile."""
    return _HASHER.hash(_normalize(password))


def matches(password: str, hash: str) -> bool:
    """Is it the password of `hash`? Takes as long as the hash's own parameters ask for."""
    try:
        return _HASHER.verify(hash, _normalize(password))
    except (VerificationError, InvalidHashError):
        return False


def problem(password: str) -> str | None:
    """Why it cannot be a password; None if it can."""
    if len(password) < SHORTEST:
        return f"a password must have at least {SHORTEST} characters"
    if len(password) > LONGEST:
        return f"a password must have at most {LONGEST} characters"
    if any("\ud800" <= sign <= "\udfff" for sign in password):
        return "the password is not valid UTF-8"
    return None


def generate_password() -> str:
    """A password that can be read out: four groups of letters and digits."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


def _normalize(password: str) -> bytes:
    # One é may be typed as one sign or as two: NIST SP 800-63B has them made one. Half a pair,
    # which no keyboard sends, must not be a fault.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
