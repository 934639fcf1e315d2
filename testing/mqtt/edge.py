"""The edge broker with the project's own configuration, on free ports."""

from __future__ import annotations

from pathlib import Path

from testing.host.wait import free_port, listening, until
from testing.mqtt.mosquitto import BINARY, build_limits
from testing.services.process import ROOT, Process


class EdgeBroker(Process):
    """Its passwords are in `folder`. `guest` adds the listener for Home Assistant."""

    def __init__(self, folder: Path, guest: bool = False) -> None:
        self.port, self.guest_port = free_port(), free_port()
        conf = (ROOT / "broker" / "edge.conf").read_text()
        if guest:
            conf += (ROOT / "broker" / "guest.conf").read_text()
        for written, here in {
            "/etc/facepipe": str(folder),
            "listener 1883 127.0.0.1": f"listener {self.port} 127.0.0.1",
            "listener 1884": f"listener {self.guest_port} 127.0.0.1",
            "/usr/lib/facepipe_limits.so": str(build_limits()),
        }.items():
            conf = conf.replace(written, here)
        path = folder / "edge.conf"
        path.write_text(f"{conf}\nuser root\n")
        super().__init__([BINARY, "-c", str(path)])

    def start(self) -> None:
        super().start()
        until(lambda: listening(self.port), what="mosquitto listens")
