"""Alive, and well: two questions, and an end for what is stuck."""

from __future__ import annotations

import json
import socket
import sys
import urllib.error
import urllib.request

import pytest

from common.http import server as web
from common.runtime.backoff import Backoff
from common.runtime.health import STUCK_EXIT_CODE, Health
from testing.host.wait import free_port, until
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto
from testing.services import forwarder as relay
from testing.services.forwarder import DEVICE
from testing.services.process import Process, Service

STUCK = """
import asyncio, sys, threading
from common.runtime.health import Health, watch
from common.runtime.logs import configure

async def main():
    health.beat("main")
    print("beats", flush=True)
    await asyncio.sleep(0.1)
    threading.Event().wait()

configure("stuck", "INFO")
health = Health(max_silence=0.5)
watch(health, every=0.05)
asyncio.run(main())
"""


def test_a_loop_that_is_stuck_ends_the_process_with_a_traceback() -> None:
    with Process([sys.executable, "-c", STUCK]) as process:
        assert process.wait() == STUCK_EXIT_CODE
        assert "stuck: no sign of life from main; exiting" in process.log
        assert "threading.py" in process.log


def test_only_loops_that_beat_and_do_not_rest_are_waited_for() -> None:
    health = Health(max_silence=-1.0)  # whatever has beaten has been silent for too long
    assert health.stuck() == []
    health.beat("main")
    health.beat("camera")
    assert sorted(health.stuck()) == ["camera", "main"]
    health.rest("camera")
    assert health.stuck() == ["main"]


def test_reasons_come_and_go_by_name() -> None:
    health = Health()
    health.check("broker", "absent")
    health.check("bucket", "slow")
    health.check("broker", None)
    health.check("broker", None)
    assert health.reasons() == {"bucket": "slow"}


def test_healthz_of_a_stuck_loop_answers_503() -> None:
    health = Health(max_silence=-1.0)
    health.beat("main")
    server = web.serve("127.0.0.1", 0, "test", health)
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/healthz"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url, timeout=5)
        with caught.value as answer:
            report = json.load(answer)
            assert answer.code == 503
        assert (report["alive"], report["stuck"], report["status"]) == (False, ["main"], "degraded")
    finally:
        server.shutdown()
        server.server_close()


def test_a_service_without_its_brokers_is_alive_and_degraded() -> None:
    with without_brokers() as service:
        until(lambda: set(service.health()["reasons"].values()) == {"absent"})
        report = service.health()
    assert report["alive"]
    assert report["status"] == "degraded"
    assert report["reasons"] == {"edge_broker": "absent", "cloud_broker": "absent"}


def test_a_service_with_its_brokers_is_well(forwarder: Service) -> None:
    report = forwarder.health()
    assert (report["service"], report["status"], report["reasons"]) == ("forwarder", "well", {})
    assert forwarder.metric("facepipe_mqtt_connected", broker="edge") == 1
    assert forwarder.metric("facepipe_mqtt_connected", broker="cloud") == 1
    assert forwarder.metric("facepipe_build_info") == 1


def test_other_paths_are_not_found(forwarder: Service) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{forwarder.url}/", timeout=5)
    with caught.value as answer:
        assert answer.code == 404


def test_who_connects_and_says_nothing_holds_nobody_up(forwarder: Service) -> None:
    host, port = forwarder.url.removeprefix("http://").split(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(5)]
    assert forwarder.health()["alive"]
    for sock in silent:
        sock.close()


def test_a_crowd_of_others_leaves_the_machines_own_health_check_its_place() -> None:
    server = web.serve("0.0.0.0", 0, "test", Health())
    port = server.server_address[1]
    source = ("127.0.0.2", 0)  # stands for another machine: what is not ::1 or 127.0.0.1 is one
    crowd = [
        socket.create_connection(("127.0.0.1", port), 5, source)
        for _ in range(web.MAX_CONNECTIONS + 5)
    ]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
        code = answer.status
    for sock in crowd:
        sock.close()
    server.shutdown()
    server.server_close()
    assert code == 200


def test_a_head_that_is_dripped_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "HEAD_WITHIN", 0.5)
    server = web.serve("127.0.0.1", 0, "test", Health())

    def dripped() -> bool:
        try:
            sock.sendall(b"x")
        except OSError:
            return True
        return False

    with socket.create_connection(("127.0.0.1", server.server_port), 5) as sock:
        sock.sendall(b"GET /healthz HTTP/1.0\r\nX-Slow: ")
        until(dripped, 30, "the server hangs up")
    server.shutdown()
    server.server_close()


def test_a_port_that_is_taken_ends_it_with_2_and_names_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with without_brokers(HTTP_PORT=port) as service:
            assert service.wait() == 2
            assert f"HTTP_HOST and HTTP_PORT: cannot listen on 127.0.0.1:{port}" in service.log
            assert "Traceback" not in service.log


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_ours_ends_it_with_2(host: str) -> None:
    with without_brokers(HTTP_HOST=host) as service:
        assert service.wait() == 2
        assert f"HTTP_HOST and HTTP_PORT: cannot listen on {host}" in service.log


def without_brokers(**settings: object) -> Service:
    return relay.forwarder(free_port(), free_port(), **settings)


def test_an_idle_service_takes_hardly_any_processor_time(
    forwarder: Service, cloud: Mosquitto
) -> None:
    """From one of its periodic status messages to the next, which are 10 s apart."""
    with Mqtt(cloud.port, f"faces/status/{DEVICE}/#") as watcher:
        until(lambda: watcher.messages)
        before = forwarder.metric("process_cpu_seconds_total")
        until(lambda: len(watcher.messages) >= 2, 30)
        assert forwarder.metric("process_cpu_seconds_total") - before < 0.3


def test_back_off_doubles_with_jitter_up_to_its_cap() -> None:
    backoff = Backoff(first=1.0, cap=8.0)
    for whole in (1.0, 2.0, 4.0, 8.0, 8.0, 8.0):
        assert whole / 2 <= backoff.next() <= whole


@pytest.mark.parametrize(("seconds", "again"), [(19.0, 8.0), (20.0, 1.0)])
def test_only_what_lasted_resets_the_back_off(seconds: float, again: float) -> None:
    backoff = Backoff(first=1.0, cap=8.0, stable=20.0)
    for _ in range(5):
        backoff.next()
    backoff.record_uptime(seconds)
    assert again / 2 <= backoff.next() <= again
