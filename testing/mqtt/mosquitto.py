"""A real Mosquitto on a free port, that can be stopped and started to play an outage."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from testing.host.wait import free_port, until
from testing.services.process import ROOT, Process

BINARY = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


@functools.cache
def version() -> tuple[int, ...]:
    """Of the installed broker, such as (2, 0, 21)."""
    done = subprocess.run([BINARY, "-h"], check=False, capture_output=True, text=True, timeout=10)
    return tuple(map(int, done.stdout.split()[2].split(".")))


@functools.cache
def build_limits() -> Path:
    """The compiled plugin broker/limits.c, of the source as it is now."""
    source = ROOT / "broker" / "limits.c"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    built = Path(tempfile.gettempdir()) / f"facepipe-limits-{os.getuid()}-{digest}.so"
    if not built.exists():
        new = built.with_suffix(f".{os.getpid()}")
        options = ("-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
        command = ["cc", *options, "-o", str(new), str(source), "-lmosquitto"]
        subprocess.run(command, check=True, timeout=60)
        new.rename(built)
    return built


class Mosquitto(Process):
    """`extra` are lines for its configuration; `listener` replaces the plain listener's."""

    def __init__(self, folder: Path, extra: str = "", anonymous: bool = True) -> None:
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        conf = folder / f"mosquitto-{self.port}.conf"
        conf.write_text(
            f"listener {self.port} 127.0.0.1\n"
            f"allow_anonymous {str(anonymous).lower()}\n"
            "max_packet_size 4194304\nset_tcp_nodelay true\nuser root\n"
            f"log_type all\n{extra}\n"
        )
        super().__init__([BINARY, "-c", str(conf)])

    def start(self) -> None:
        before = self.log.count(" running\n")
        super().start()
        # It listens before it minds signals, and says that it is running after both.
        until(lambda: self.log.count(" running\n") > before, what="mosquitto runs")
