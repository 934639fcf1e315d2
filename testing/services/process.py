"""A process of a test: its output kept, its end certain, its log shown when a test fails."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from testing.host.wait import until
from testing.host.wallclock import inherited

ROOT = Path(__file__).parents[2]


class Process:
    """`with Process(...) as p`; what it prints is in `p.log`."""

    def __init__(self, command: list[str], env: dict[str, str] | None = None) -> None:
        self.command = command
        self._env = {**_bare(), **(env or {})}
        self._output: list[str] = []
        self._path = Path(f"/tmp/facepipe-test-{os.getpid()}-{id(self):x}.log")
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._path.open("ab") as output:
            self._popen = subprocess.Popen(
                self.command, env=self._env, cwd=ROOT, stdout=output, stderr=output
            )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self.kill()
        if kind is not None:
            print(f"--- {' '.join(self.command[-3:])}\n{self.log}", file=sys.stderr)
        self._path.unlink(missing_ok=True)

    @property
    def log(self) -> str:
        return self._path.read_text(errors="replace") if self._path.exists() else ""

    @property
    def pid(self) -> int:
        assert self._popen is not None
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        assert self._popen is not None
        self._popen.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()

    def wait(self, seconds: float = 30.0) -> int:
        assert self._popen is not None
        return self._popen.wait(seconds)

    def stop(self, seconds: float = 8.0) -> int:
        """SIGTERM; its exit code, if it ends within `seconds`."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def says(self, pattern: str, seconds: float = 15.0) -> re.Match[str]:
        """Wait for a line that matches."""

        def look() -> re.Match[str] | None:
            found = re.search(pattern, self.log)
            assert found or self.running, f"it ended without saying {pattern!r}"
            return found

        return until(look, seconds, f"{self.command[-1]} says {pattern!r}")


class Service(Process):
    """One of the product's services, started as a person would, on a free HTTP port."""

    def __init__(self, name: str, **settings: object) -> None:
        env = {"HTTP_PORT": "0"} | {key: str(value) for key, value in settings.items()}
        super().__init__([sys.executable, "-m", name], env)
        self.name = name

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        if self.running and "COVERAGE_PROCESS_CONFIG" in os.environ:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()  # one that is killed does not write down what it has run
        super().__exit__(kind, error, trace)

    @property
    def url(self) -> str:
        return self.says(r"health and metrics on (http://\S+)")[1]

    def health(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:
            report: dict[str, Any] = json.load(answer)
        return report

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        return read_metric(self.url, name, **labels)


def scrape(url: str) -> list[Metric]:
    """All metrics of the service whose health and metrics are at this URL."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
        return list(text_string_to_metric_families(answer.read().decode()))


def read_metric(url: str, metric: str, /, **labels: str) -> float:
    """The sum of a metric's samples with these labels."""
    return sum(
        sample.value
        for family in scrape(url)
        for sample in family.samples
        if sample.name == metric and labels.items() <= sample.labels.items()
    )


def _bare() -> dict[str, str]:
    """An environment without settings that the machine happens to have."""
    keep = ("PATH", "HOME", "LANG", "OPENBLAS_CORETYPE", "TMPDIR")
    return inherited() | {name: os.environ[name] for name in keep if name in os.environ}
