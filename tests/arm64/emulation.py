"""Programs for arm64 run on this machine, whatever it is."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path

FORMATS = Path("/proc/sys/fs/binfmt_misc")
ENTRY = FORMATS / "qemu-aarch64"
# One line, as the kernel wants it. Its flag F opens the emulator here and now, so that a container
# need not hold it.
LINE = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
ADVICE = "run this as root, or register qemu-aarch64 first (Debian: apt install qemu-user-static)"


@contextlib.contextmanager
def emulated() -> Iterator[None]:
    """What was not registered before is not afterwards."""
    if platform.machine() == "aarch64" or ENTRY.exists():
        yield
        return
    assert os.geteuid() == 0, f"the kernel does not know how to run arm64 here: {ADVICE}"
    assert LINE.exists(), "the emulator is missing: install qemu-user-static"
    with _mounted(), _registered():
        yield


@contextlib.contextmanager
def _mounted() -> Iterator[None]:
    if (FORMATS / "register").exists():
        yield
        return
    mount = ["mount", "-t", "binfmt_misc", "binfmt_misc", str(FORMATS)]
    done = subprocess.run(mount, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"binfmt_misc cannot be mounted: {done.stderr.strip()}"
    try:
        yield
    finally:
        subprocess.run(["umount", str(FORMATS)], check=True)


@contextlib.contextmanager
def _registered() -> Iterator[None]:
    (FORMATS / "register").write_text(LINE.read_text())
    try:
        yield
    finally:
        ENTRY.write_text("-1")
