"""Compose projects as a person starts them, and their containers as an engine sees them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from testing.host.wait import until
from testing.services.process import ROOT, read_metric
from tests.containers.engine import docker

PORTS = {"detector": 9101, "forwarder": 9102, "processor": 9103, "gallery": 9114}
HEALTHY_WITHIN = 60.0  # seconds from a kill or a restart


class Container:
    """One that is there now; after it was made anew, ask its project for the new one."""

    def __init__(self, id: str, service: str) -> None:
        self.id = id
        self.service = service

    def inspect(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(docker("inspect", self.id))[0]
        return found

    @property
    def running(self) -> bool:
        """Whether it runs; not if it has gone meanwhile."""
        said = docker("inspect", "--format", "{{.State.Running}}", self.id, code=None)
        return said.strip() == "true"

    @property
    def pid(self) -> int:
        """Of its init, as this machine counts; 0 while it is not running."""
        return int(self.inspect()["State"]["Pid"])

    @property
    def health(self) -> str:
        """starting, healthy, unhealthy; or the state of one that is not running."""
        state = self.inspect()["State"]
        return str(state["Health"]["Status"] if state["Status"] == "running" else state["Status"])

    @property
    def address(self) -> str:
        networks = self.inspect()["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    @property
    def url(self) -> str:
        """Of /healthz and /metrics: they are not published, but this machine reaches them."""
        return f"http://{self.address}:{PORTS[self.service]}"

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        return read_metric(self.url, name, **labels)

    @property
    def log(self) -> str:
        """Since it was started last."""
        return docker("logs", "--since", str(self.inspect()["State"]["StartedAt"]), self.id)

    def exec(self, *command: str, code: int | None = 0) -> str:
        return docker("exec", self.id, *command, code=code)

    def kill(self) -> None:
        """As a crash would, so that the restart policy acts: after `docker kill` it does not."""
        pid, times = self.pid, self.inspect()["RestartCount"]
        assert pid, f"{self.service} is not running"
        if os.geteuid() == 0:
            os.kill(pid, signal.SIGKILL)
        else:
            # Whoever may use the engine may do this, too.
            run = ("run", "--rm", "--pid=host", "--user=0", "--entrypoint=sh", "facepipe/broker")
            docker(*run, "-c", f"kill -9 {pid}")
        until(lambda: self.inspect()["RestartCount"] > times, 30, f"{self.service} starts anew")

    def becomes_healthy(self, seconds: float = HEALTHY_WITHIN) -> None:
        until(lambda: self.health == "healthy", seconds, f"{self.service} is healthy")


class Project:
    """`docker compose` with one of our files, a test's additions and settings in place of .env.

    Its paths are relative to `home`, where a person would have the repository.
    """

    def __init__(self, side: str, folder: Path, additions: dict[str, Any], **env: str) -> None:
        self.name = f"facepipe-test-{side}"
        self.file = ROOT / f"docker-compose.{side}.yml"
        self.env = env
        self.home = folder / side
        (self.home / "secrets").mkdir(parents=True)
        shutil.copy(ROOT / "secrets" / "README", self.home / "secrets")
        self._more = folder / f"{side}.json"  # JSON is YAML
        self._more.write_text(json.dumps(additions))
        self._env_file = folder / f"{side}.env"

    def command(self) -> list[str]:
        text = "".join(f"{name}='{value}'\n" for name, value in self.env.items())
        self._env_file.write_text(text)
        files = ["--file", str(self.file), "--file", str(self._more)]
        own = ["--project-name", self.name, "--project-directory", str(self.home)]
        return ["compose", *own, "--env-file", str(self._env_file), *files]

    def __call__(self, *words: str, code: int | None = 0, timeout: float = 180) -> str:
        return docker(*self.command(), *words, code=code, timeout=timeout)

    def up(self, *words: str) -> None:
        """And wait until all are healthy."""
        self("up", "--detach", "--no-build", "--wait", "--wait-timeout", "90", *words)

    def down(self) -> None:
        self("--profile", "*", "down", "--volumes", "--timeout", "5", code=None)

    def all(self, service: str = "") -> list[Container]:
        """Those of a service, or all, running or not."""
        label = "com.docker.compose"
        filters = [f"--filter=label={label}.project={self.name}"]
        filters += [f"--filter=label={label}.service={service}"] if service else []
        form = f'{{{{.ID}}}} {{{{.Label "{label}.service"}}}}'
        lines = docker("ps", "--all", *filters, "--format", form).splitlines()
        return [Container(*line.split()) for line in lines]

    def one(self, service: str) -> Container:
        (found,) = self.all(service)
        return found

    def enroll(self, *words: str, code: int = 0) -> tuple[str, str]:
        """What `run --rm enroll WORDS` writes to stdout, and what it says."""
        done = subprocess.run(
            ["docker", *self.command(), "run", "--rm", "-T", "enroll", *words],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stderr
        return done.stdout, done.stderr
