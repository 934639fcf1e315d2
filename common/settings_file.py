"""A file of settings, NAME=VALUE on each line, such as the one that an enrolled device gets."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

NAME = "SETTINGS_FILE"
_LINE = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)")


def with_settings_file(environ: Mapping[str, str]) -> Mapping[str, str]:
    """`environ` without SETTINGS_FILE, and what it leaves empty from the file that this names.

    The format is what Compose, systemd (EnvironmentFile) and a shell read alike: no quotes, no
    escapes; empty lines and lines that begin with # are comments.

    Raises:
        ValueError: the file cannot be read, or a line of it is not a setting; a whole sentence.
    """
    path = environ.get(NAME, "")
    if not path:
        return environ
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except PermissionError as error:
        raise ValueError(f"{NAME} {explain_permission(error)} ({NAME}={path})") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{NAME} cannot be read: {error}") from None
    own = {name: value for name, value in environ.items() if value and name != NAME}
    return {**_parse(path, lines), **own}


def _parse(path: str, lines: list[str]) -> dict[str, str]:
    found = {}
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:  # the line itself may hold a secret
            fault = f"line {number} of {path} has not"
            raise ValueError(f"{NAME} must have NAME=VALUE on each line: {fault}")
        found[match[1]] = match[2].strip()
    return found


def explain_permission(error: PermissionError) -> str:
    """The end of a sentence about a file that could not be read, with the remedy."""
    # The container's user does not exist on the host, and secrets keep their owner on the host.
    return (
        f"cannot be read by user {os.geteuid()}: {error.strerror};"
        " make it readable on the host: chmod a+r, in a folder of mode 700"
    )
