"""Things of the machine's that a test borrows, such as a small disk."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


def needs_root(command: list[str]) -> None:
    """Run it; a person's test is skipped where it is not allowed, in CI nothing is."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "CI" not in os.environ:
        pytest.skip(f"{command[0]} needs root: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def refusing_beyond(size: int) -> Iterator[None]:
    """A disk that takes no byte of this process beyond `size` bytes of a file: it says EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def mounted(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk of its own at this folder."""
    folder.mkdir()
    needs_root(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "facepipe-test", str(folder)])
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
