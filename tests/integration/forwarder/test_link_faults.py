"""The relay when something is wrong: links that are cut, stall or swallow, brokers that refuse."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path

import pytest

from testing.host.disk import needs_root
from testing.host.wait import free_port, until, until_equal
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto
from testing.network.proxy import Proxy
from testing.services.forwarder import connected
from testing.services.forwarder import forwarder as started
from testing.services.process import Service

DROPPED = "facepipe_forwarder_messages_dropped_total"
BUFFERED = "facepipe_forwarder_buffer_messages"
RECEIVED = "facepipe_forwarder_messages_received_total"
FAILURES = "facepipe_mqtt_failures_total"


def test_what_was_buffered_while_the_cloud_was_away_arrives_in_order(
    edge: Mosquitto, cloud: Mosquitto
) -> None:
    faces = [b"%03d" % number + bytes(20_000) for number in range(300)]
    with (
        Proxy(cloud.port) as wan,
        started(edge.port, wan.port) as service,
        Mqtt(cloud.port, "faces") as watcher,
        Mqtt(edge.port) as camera,
    ):
        connected(service)
        wan.refuse()
        service.says("cloud broker .*trying again")
        for face in faces:
            camera.publish("faces", face)
        until(lambda: service.metric(BUFFERED) == 300)
        assert service.health()["reasons"].keys() == {"cloud_broker"}
        wan.mode = "pass"
        until(lambda: len(watcher.messages) == 300)
        assert [bytes(message.payload) for message in watcher.messages] == faces
        assert service.metric(DROPPED) == 0


def test_a_copy_in_the_buffer_takes_the_place_of_its_elder(
    edge: Mosquitto, cloud: Mosquitto
) -> None:
    with (
        Proxy(cloud.port) as wan,
        started(edge.port, wan.port) as service,
        Mqtt(cloud.port, "faces") as watcher,
        Mqtt(edge.port) as camera,
    ):
        connected(service)
        wan.refuse()
        service.says("cloud broker .*trying again")
        for _ in range(5):
            for id in (b"a", b"b", b"c"):
                camera.publish("faces", b"face " + id, CorrelationData=id)
            camera.publish("faces", b"without")
        until(lambda: service.metric(BUFFERED) == 8)
        wan.mode = "pass"
        until(lambda: len(watcher.messages) == 8)
        assert [message.payload for message in watcher.messages][:4] == [
            b"face a",
            b"face b",
            b"face c",
            b"without",
        ]
        assert service.metric("facepipe_forwarder_messages_replaced_total", kind="face") == 12


@pytest.mark.parametrize("size", [200, 20_000])
def test_memory_is_bounded_and_each_face_dropped_is_counted(edge: Mosquitto, size: int) -> None:
    facts = [(f"fact-{number}", "x" * 12) for number in range(14)]
    with started(edge.port, free_port(), BUFFER_MAX_MB=4) as service, Mqtt(edge.port) as camera:
        service.says("edge broker .*: connected")
        empty = service.metric("process_resident_memory_bytes")
        sent = 0
        while sent < 1000 or service.metric(DROPPED, reason="full") < 500:
            for _ in range(250):
                id = b"%032d" % sent
                camera.publish("faces", os.urandom(size), user=facts, CorrelationData=id)
                sent += 1
            until_equal(lambda: service.metric(RECEIVED), sent)
        assert service.metric(DROPPED, reason="full") + service.metric(BUFFERED) == sent
        assert service.metric("facepipe_forwarder_buffer_bytes") <= 4 * 1024 * 1024
        assert service.metric("process_resident_memory_bytes") - empty < 10 * 1024 * 1024


def test_a_link_that_is_cut_amid_a_face_sends_it_again_whole(
    edge: Mosquitto, cloud: Mosquitto
) -> None:
    face = os.urandom(1_000_000)
    with (
        Proxy(cloud.port) as wan,
        started(edge.port, wan.port) as service,
        Mqtt(cloud.port, "faces") as watcher,
        Mqtt(edge.port) as camera,
    ):
        connected(service)
        wan.rate = 1_000_000
        before = wan.passed
        camera.publish("faces", face)
        until(lambda: wan.passed - before > 100_000)
        wan.reset()
        wan.rate = None
        until(lambda: watcher.messages)
        assert [bytes(message.payload) for message in watcher.messages] == [face]
        assert service.metric(FAILURES, broker="cloud", reason="lost") == 1


def test_a_silent_or_stalled_link_is_noticed_and_replaced(
    tmp_path: Path, edge: Mosquitto, cloud: Mosquitto
) -> None:
    """Through proxies, whose far side the broker may close; and with a broker that is stopped."""
    with (
        Mosquitto(tmp_path) as stopped,
        Proxy(cloud.port) as stalling,
        Proxy(cloud.port) as swallowing,
        started(edge.port, stalling.port) as one,
        started(edge.port, swallowing.port, DEVICE="box-2") as two,
        started(edge.port, stopped.port, DEVICE="box-3") as busy,
        started(free_port(), stopped.port, DEVICE="box-4") as idle,
        Mqtt(edge.port) as camera,
    ):
        services = (one, two, busy, idle)
        for service in services:
            service.says("cloud broker .*: connected")
        stalling.mode, swallowing.mode = "stall", "hole"
        stopped.signal(signal.SIGSTOP)
        for _ in range(150):
            camera.publish("faces", bytes(100_000))
        for service in services:
            service.says(r"cloud broker .*trying again", 30)
        assert failures(busy, "stalled") == failures(idle, "silent") == 1
        stalling.mode = swallowing.mode = "pass"
        stopped.signal(signal.SIGCONT)
        for service in services:
            service.says(r"cloud broker .*connected, after", 30)
            until_equal(partial(service.metric, BUFFERED), 0)


def failures(service: Service, reason: str) -> float:
    return service.metric(FAILURES, broker="cloud", reason=reason)


def test_a_face_above_what_the_cloud_takes_holds_nothing_up(
    tmp_path: Path, edge: Mosquitto
) -> None:
    with (
        Mosquitto(tmp_path) as cloud,
        started(edge.port, cloud.port) as service,
    ):
        shrink(cloud, 50_000)
        connected(service)
        with Mqtt(cloud.port, "faces") as watcher, Mqtt(edge.port) as camera:
            for size in (100, 49_990, 100_000, 200):
                camera.publish("faces", bytes(size))
            until(lambda: watcher.messages and len(watcher.messages[-1].payload) == 200)
            assert [len(message.payload) for message in watcher.messages] == [100, 200]
        assert service.metric(DROPPED, kind="face", reason="too_large") == 2
        assert service.metric(FAILURES, broker="cloud", reason="too_large") == 0


def shrink(broker: Mosquitto, max_packet_size: int) -> None:
    """Start it again with another bound."""
    conf = Path(broker.command[-1])
    broker.kill()
    conf.write_text(conf.read_text().replace("4194304", str(max_packet_size)))
    broker.start()


def test_a_broker_that_refuses_the_password_is_tried_again_and_said_once(
    tmp_path: Path, edge: Mosquitto
) -> None:
    with (
        Mosquitto(tmp_path, anonymous=False) as cloud,
        started(edge.port, cloud.port, CLOUD_USERNAME="u", CLOUD_PASSWORD="wrong") as service,
    ):
        service.says(r"cloud broker .*refused the connection: Not authorized; check the user name")
        until(lambda: service.metric(FAILURES, broker="cloud", reason="refused") >= 3)
        assert service.health()["reasons"] == {"cloud_broker": "refused"}
        assert service.log.count("refused the connection") == 1
        assert "wrong" not in service.log


def test_a_name_that_does_not_resolve_is_said_and_tried_again(edge: Mosquitto) -> None:
    with started(edge.port, 8883, CLOUD_HOST="no.such.host.invalid") as service:
        service.says("cloud broker .*: the host name does not resolve", 30)
        service.says("edge broker .*: connected")
        assert service.health()["reasons"] == {"cloud_broker": "name"}


def test_a_name_that_gets_another_address_is_followed(tmp_path: Path, edge: Mosquitto) -> None:
    hosts, port = tmp_path / "hosts", free_port()
    first, second = (
        Mosquitto(tmp_path, f"listener {port} {address}") for address in ("127.0.0.2", "127.0.0.3")
    )
    hosts.write_text("127.0.0.2 cloud.test\n")
    service = started(edge.port, port, CLOUD_HOST="cloud.test")
    # A hosts file of its own, in a mount namespace of its own.
    mount = f"mount --bind {hosts} /etc/hosts && exec {' '.join(service.command)}"
    service.command = ["unshare", "--mount", "sh", "-c", mount]
    needs_root(["unshare", "--mount", "true"])
    with first, service, Mqtt(edge.port) as camera:
        connected(service)
        first.kill()
        hosts.write_text("127.0.0.3 cloud.test\n")
        with second, Mqtt(second.port, "faces") as watcher:
            until(lambda: service.health()["status"] == "well", 30)
            camera.publish("faces", b"face")
            assert until(lambda: watcher.messages)[0].payload == b"face"


def test_a_denied_subscription_is_named_and_the_connection_given_up(
    tmp_path: Path, edge: Mosquitto
) -> None:
    with (
        Mosquitto(tmp_path, denying_subscriptions(tmp_path)) as cloud,
        started(edge.port, cloud.port) as service,
    ):
        service.says("it denies the subscription to faces/receipts/box-1 .*check its access list")
        until(lambda: service.metric(FAILURES, broker="cloud", reason="denied") >= 2)
        assert service.health()["reasons"] == {"cloud_broker": "denied"}
        # Each try leaves no connection behind: the broker never sees two of one client.
        assert "already connected" not in cloud.log


def denying_subscriptions(folder: Path) -> str:
    """Mosquitto's own access lists filter what is delivered; this plugin says no."""
    access = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False}
    role = {
        "rolename": "all",
        "acls": [{"acltype": "publishClientSend", "topic": "#", "priority": 0, "allow": True}],
    }
    config = {
        "defaultACLAccess": {**access, "unsubscribe": True},
        "groups": [{"groupname": "anyone", "roles": [{"rolename": "all"}], "clients": []}],
        "roles": [role],
        "clients": [],
        "anonymousGroup": "anyone",
    }
    file = folder / "dynamic-security.json"
    file.write_text(json.dumps(config))
    plugin = next(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"))
    return f"plugin {plugin}\nplugin_opt_config_file {file}"


@pytest.mark.parametrize("mode", ["refuse", "stall", "hole", "absent"])
def test_it_ends_in_time_with_0_also_while_the_cloud_is_away(
    edge: Mosquitto, cloud: Mosquitto, mode: str
) -> None:
    with (
        Proxy(cloud.port) as wan,
        started(edge.port, wan.port if mode != "absent" else free_port()) as service,
        Mqtt(edge.port) as camera,
    ):
        service.says("edge broker .*: connected")
        if mode != "absent":
            service.says("cloud broker .*: connected")
            wan.mode = mode
        if mode == "refuse":
            wan.reset()
        for _ in range(50):
            camera.publish("faces", bytes(100_000))
        until(lambda: service.metric(RECEIVED) >= 50)
        assert service.stop() == 0
        assert "Traceback" not in service.log


def test_a_clean_end_waits_for_what_can_still_be_sent(edge: Mosquitto, cloud: Mosquitto) -> None:
    with (
        Proxy(cloud.port) as wan,
        started(edge.port, wan.port) as service,
        Mqtt(cloud.port, "faces") as watcher,
        Mqtt(edge.port) as camera,
    ):
        connected(service)
        wan.rate = 1_000_000
        for _ in range(20):
            camera.publish("faces", bytes(50_000))
        until(lambda: service.metric(RECEIVED) >= 20)
        assert service.stop() == 0
        until(lambda: len(watcher.messages) == 20)
