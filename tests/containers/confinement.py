"""What a container may do, as the engine and the kernel have it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.containers.compose import Container
from tests.containers.engine import docker

MIB = 1024 * 1024


def assert_confined(container: Container) -> None:
    """No more than it needs, as the engine was told."""
    found = container.inspect()
    config, host = found["Config"], found["HostConfig"]
    assert config["User"] == "10001:10001"
    assert host["ReadonlyRootfs"]
    assert not host["Privileged"]
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], None)
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Init"]
    assert 0 < host["Memory"] <= 400 * MIB
    assert 0 < host["PidsLimit"] <= 64
    assert host["NetworkMode"].endswith("_default")
    assert (host["PidMode"], host["UTSMode"], host["IpcMode"]) == ("", "", "private")
    logs = host["LogConfig"]
    assert (logs["Type"], logs["Config"]["max-file"]) == ("json-file", "3")
    assert int(logs["Config"]["max-size"].removesuffix("m")) <= 10


def assert_unprivileged(container: Container) -> None:
    """For each process: our user, no capability, no way to gain one, a filter of system calls."""
    pids = docker("top", container.id, "-o", "pid").split()[1:]
    assert pids
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/status").read_text()
        except FileNotFoundError:
            continue  # such as the `sleep` of the broker's script
        status = dict(re.findall(r"^(\w+):\s*(.*)$", text, re.MULTILINE))
        assert status["Uid"].split() == ["10001"] * 4
        assert status["Gid"].split() == ["10001"] * 4
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        assert int(status["CapBnd"], 16) == 0
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    said = container.exec("touch", "/opt/facepipe/new", code=1)
    assert "Read-only file system" in said
