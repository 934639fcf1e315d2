"""The cloud side as docker-compose.cloud.yml has it: broker, processors, and a store for loads.

The broker is configured as in its image, its log goes through broker/log.awk as there, and whoever
comes to it has a certificate that enrolment made.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from pathlib import Path

from bench.load.sink import Sink
from common.settings import read
from enroll import files, services
from enroll.authority import Authority
from enroll.settings import EnrollSettings
from testing.host.wait import free_port
from testing.services.enrolment import CloudBroker, Enrolment
from testing.services.process import Process, Service


class Identities:
    """What `python -m enroll` makes for so many devices, without a process for each of them."""

    def __init__(self, folder: Path, devices: list[str]) -> None:
        self.folder = folder
        self.made = Enrolment(folder, PUBLIC_HOST="localhost")
        settings = read(EnrollSettings, self.made.settings)
        self.bundles: dict[str, Path] = {}
        with contextlib.redirect_stderr(io.StringIO()), files.locked(self.made.authority):
            authority = Authority(self.made.authority, settings.authority_days)
            services.keep(authority, settings)
            for device in devices:
                bundle = authority.bundle(authority.enrol(device, settings.device_days))
                self.bundles[device] = folder / f"{device}.pem"
                files.write(self.bundles[device], bundle, files.SECRET)
            services.admit(authority, settings)


class Broker(CloudBroker):
    """With what reads its log: a part of what a message costs. Without a rate for each device:
    what is measured is how much the parts bear."""

    def __init__(self, identity: Path) -> None:
        super().__init__(identity)
        log = self._run / "log"
        self._run.mkdir()
        os.mkfifo(log)
        quoted = shlex.quote(str(log))
        mosquitto = shlex.join(self.command)
        self.command = ["sh", "-c", f"exec {mosquitto} 2>{quoted}"]
        self.filter = Process(["sh", "-c", f"exec mawk -W interactive -f broker/log.awk <{quoted}"])

    def _configuration(self) -> str:
        return re.sub(r"(?m)^(plugin_opt_\w+_per_second) .*$", r"\1 0", super()._configuration())

    def start(self) -> None:
        self.filter.start()
        super().start()


class Cloud:
    """Use in `with`; `pids` are its parts by name."""

    def __init__(self, identities: Identities, processors: int = 1, delay_ms: float = 0) -> None:
        self.broker = Broker(identities.made.broker)
        self.sink = Sink(delay_ms)
        self.processors = [
            Service(
                "processor",
                MQTT_HOST="localhost",
                MQTT_PORT=self.broker.inner_port,
                MQTT_BUNDLE=identities.made.processor / "processor.pem",
                INSTANCE=f"replica-{number}",
                HTTP_PORT=free_port(),
                **self.sink.settings,
            )
            for number in range(1, processors + 1)
        ]
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Cloud:
        with contextlib.ExitStack() as stack:
            stack.callback(self.broker.filter.kill)
            stack.enter_context(self.broker)
            stack.enter_context(self.sink)
            for processor in self.processors:
                stack.enter_context(processor)
            for processor in self.processors:
                processor.says("cloud broker .*: connected")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def pids(self) -> dict[str, int]:
        named = {f"processor {n}": p.pid for n, p in enumerate(self.processors, 1)}
        parts = {"broker": self.broker.pid, "log filter": self.broker.filter.pid}
        return {**parts, **named, "store": self.sink.pid}
