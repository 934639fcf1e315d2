"""The containers' health check: asks the service beside it, and tells by its exit code."""

from __future__ import annotations

import json
import socket
import sys

import pytest

from common.http import server as web
from common.runtime.health import Health
from testing.host.wait import free_port
from testing.services.forwarder import forwarder
from testing.services.process import Process, Service


def probe(port: object, host: str = "127.0.0.1") -> tuple[int, str]:
    """Its exit code, and the one line that it prints."""
    settings = {"HTTP_HOST": host, "HTTP_PORT": str(port)}
    with Process([sys.executable, "-m", "common.runtime.probe"], settings) as process:
        code = process.wait()
        (line,) = process.log.splitlines()
    return code, line


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost", "::1", "::"])
def test_a_service_that_is_alive_passes_wherever_it_listens(host: str) -> None:
    # It has no brokers: alive and degraded, which is no reason to call a container unhealthy.
    with forwarder(free_port(), free_port(), HTTP_HOST=host) as service:
        code, line = probe(port_of(service), host)
    assert code == 0
    assert json.loads(line)["alive"]


def port_of(service: Service) -> str:
    return service.url.rpartition(":")[2]


def test_a_service_that_is_stuck_fails_and_says_which_loop() -> None:
    health = Health(max_silence=-1.0)
    health.beat("main")
    server = web.serve("127.0.0.1", 0, "test", health)
    try:
        code, line = probe(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
    assert code == 1
    assert json.loads(line)["stuck"] == ["main"]


def test_no_service_and_no_port_fail_with_a_reason() -> None:
    code, line = probe(free_port())
    assert code == 1
    assert line.startswith("no answer from 127.0.0.1:")
    assert "Connection refused" in line
    assert probe("") == (1, "HTTP_PORT is not set, so there is no address to check")


def test_a_port_that_says_something_else_or_nothing_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts, and never answers
        code, line = probe(listener.getsockname()[1])
    assert code == 1
    assert "timed out" in line


def test_it_loads_nothing_but_the_standard_library() -> None:
    script = (
        "import sys; before = {*sys.modules}; import common.runtime.probe\n"
        "loaded = {name.partition('.')[0] for name in {*sys.modules} - before}\n"
        "print(sorted(loaded - sys.stdlib_module_names))"
    )
    with Process([sys.executable, "-c", script]) as process:
        assert process.wait() == 0
        assert process.log == "['common']\n"
