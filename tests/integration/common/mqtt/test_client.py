"""A link keeps one connection up, whatever happens to it."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from common.mqtt import Ack, Message
from common.mqtt.connection import Connection
from common.runtime import sockets
from testing.host.wait import free_port, until, until_above
from testing.mqtt.client import Mqtt
from testing.mqtt.linked import Linked
from testing.mqtt.mosquitto import Mosquitto
from testing.network.proxy import Proxy


def test_what_is_published_arrives_in_order_and_is_reported_as_sent(edge: Mosquitto) -> None:
    outcomes: list[str | None] = []
    with Mqtt(edge.port, "t") as other, Linked(edge.port) as linked:
        linked.comes_up()
        for number in range(500):
            linked.call(linked.link.publish, "t", b"%d" % number, done=outcomes.append)
        until(lambda: len(other.messages) == 500)
    assert [int(message.payload) for message in other.messages] == list(range(500))
    assert outcomes == [None] * 500


def test_a_message_of_two_megabytes_arrives_byte_for_byte(edge: Mosquitto) -> None:
    payload = os.urandom(2_000_000)
    with Linked(edge.port, "t", id="taker") as taker, Linked(edge.port) as giver:
        taker.comes_up()
        giver.comes_up()
        giver.call(giver.link.publish, "t", payload)
        until(lambda: taker.messages)
    assert bytes(taker.messages[0].payload) == payload


def test_nothing_is_kept_for_a_broker_that_is_not_there() -> None:
    with Linked(free_port()) as linked:
        until(lambda: linked.reason == "absent")
        assert linked.call(linked.link.publish, "t", b"lost") is False


@pytest.mark.parametrize("qos", [0, 1])
def test_many_reconnects_leak_neither_descriptors_nor_clients(edge: Mosquitto, qos: int) -> None:
    with Proxy(edge.port) as proxy, Linked(proxy.port, "t", qos=qos) as linked:

        def reconnect(times: int) -> int:
            for _ in range(times):
                linked.call(linked.link.publish, "t", bytes(10_000))
                downs, ups = len(linked.downs), linked.ups
                proxy.reset()
                until_above(lambda: len(linked.downs), downs)
                linked.comes_up(ups + 1)
            until(lambda: gc.collect() == 0 and connections() == 1)  # those of the last second go
            return len(gc.get_objects())

        linked.comes_up()
        objects, descriptors = reconnect(10), open_descriptors()
        assert reconnect(60) - objects < 500
        assert open_descriptors() - descriptors < 5


def test_two_clients_with_one_id_are_told_so(edge: Mosquitto) -> None:
    with Linked(edge.port, "t", id="same") as one, Linked(edge.port, "t", id="same") as other:
        until(lambda: "flapping" in one.downs and "flapping" in other.downs)
        assert one.health.reasons() == {"test_broker": "flapping"}


def test_where_the_unsent_is_not_known_the_unacknowledged_is_looked_at() -> None:
    ours, theirs = socket.socketpair()  # no TCP sockets: only those know what is unsent
    with ours, theirs:
        assert sockets.has_room(ours)
        ours.sendall(bytes(100_000))
        assert not sockets.has_room(ours)
        theirs.recv(100_000)
        until(lambda: sockets.has_room(ours))


def connections() -> int:
    return sum(isinstance(thing, Connection) for thing in gc.get_objects())


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_subscriptions_come_back_with_each_connection(edge: Mosquitto) -> None:
    with Linked(edge.port, "t") as linked:
        linked.comes_up()
        edge.kill()
        until(lambda: linked.downs)
        edge.start()
        linked.comes_up(2)
        with Mqtt(edge.port) as other:
            other.publish("t", b"again")
        until(lambda: [message.payload for message in linked.messages] == [b"again"])
    assert linked.downs[0] in ("lost", "dismissed")


def test_it_does_not_get_back_what_it_published_itself(edge: Mosquitto) -> None:
    with Linked(edge.port, "t") as linked, Mqtt(edge.port) as other:
        linked.comes_up()
        linked.call(linked.link.publish, "t", b"own")
        other.publish("t", b"other's")
        until(lambda: linked.messages)
    assert [message.payload for message in linked.messages] == [b"other's"]


def test_a_fault_in_the_handling_of_one_message_does_not_cost_the_next(edge: Mosquitto) -> None:
    with Linked(edge.port, "t") as linked, Mqtt(edge.port) as other:
        linked.comes_up()
        good = linked.link.on_message

        def faulty(message: object, ack: object) -> None:
            linked.link.on_message = good
            raise ZeroDivisionError

        linked.link.on_message = faulty
        other.publish("t", b"1")
        other.publish("t", b"2")
        until(lambda: [message.payload for message in linked.messages] == [b"2"])
        assert linked.ups == 1


def test_with_manual_acks_the_broker_holds_more_back_until_they_come(edge: Mosquitto) -> None:
    linked = Linked(edge.port, "t", qos=1)
    linked.manual_ack = True
    with linked, Mqtt(edge.port) as other:
        linked.comes_up()
        for number in range(30):
            other.publish("t", b"%d" % number, qos=1)
        until(lambda: len(linked.messages) == 20)  # the broker's bound of messages under way
        for ack in list(linked.acks):
            linked.call(ack)
        until(lambda: len(linked.messages) == 30)


class Impostor:
    """A listener that answers every connection with the same bytes."""

    def __init__(self, answer: bytes, close: bool = False) -> None:
        self.answer, self.close = answer, close

    def __enter__(self) -> Impostor:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._held: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.recv(1000)
            sock.sendall(self.answer)
            self._held.append(sock)
            if self.close:
                sock.close()

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for sock in self._held:
            sock.close()


CONNACK = b"\x20\x03\x00\x00\x00"


@pytest.mark.parametrize(
    ("answer", "close", "reason"),
    [
        (b"", True, "closed"),
        (b"", False, "no_answer"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", True, None),
        (b"\x20\x03\x00\x86\x00", False, "refused"),
        (b"\x20\x02\x00\x01", True, "refused"),  # MQTT 3.1.1: unacceptable protocol version
        (CONNACK + b"\xe0\x02\x8b\x00", False, "dismissed"),
        (CONNACK + b"\x30\x05\x00\xffab", True, None),  # a topic that is longer than its packet
        (CONNACK + b"\x30\x07\x00\x02\xff\xfe\x00xy", True, None),  # a topic that is not UTF-8
        (CONNACK + b"\x90\x04\x00\x01\x00\x77", True, None),  # a SUBACK of an unknown code
        (CONNACK + b"\x30\x04\x00\xffab", False, "protocol"),
        (CONNACK + b"\x30\x07\x00\x00\x03\x23\x00\x01x", False, "protocol"),  # a topic alias
        (CONNACK + b"\x34\x06\x00\x01t\x00\x01\x00", False, "protocol"),  # QoS 2
        (CONNACK + b"\x30\x04\x00\x01#\x00", False, "protocol"),
        (CONNACK + b"\x30\x05\x00\x01t\x02\x00", False, "protocol"),  # its properties end later
        (CONNACK + b"\x30\xff\xff\xff\xff\x01", False, "protocol"),  # a length of five bytes
        (CONNACK + b"\x30\xff\xff\xff\x7f", False, "protocol"),  # larger than we take
        (CONNACK + b"\x40\x01\x80", False, "protocol"),  # a PUBACK cut short
    ],
)
def test_a_hostile_broker_costs_its_connection_only(
    answer: bytes, close: bool, reason: str | None
) -> None:
    with Impostor(answer, close) as broker, Linked(broker.port, "t") as linked:
        until(lambda: linked.reason not in (None, "connecting"))
        assert reason is None or linked.reason == reason
        until(lambda: len(broker._held) > 1, what="tries again")


def test_a_link_that_is_taken_over_says_so() -> None:
    with Impostor(CONNACK + b"\xe0\x02\x8e\x00") as broker, Linked(broker.port) as linked:
        until(lambda: linked.reason == "taken_over")


def test_what_was_said_last_arrives_although_what_came_was_not_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Small windows, so that the goodbye still waits in our kernel when we close.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ours = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    with peer, ThreadPoolExecutor() as threads:
        peer.sendall(b"unread")
        ours.setblocking(False)
        said = ours.send(bytes(1_000_000))
        until(lambda: sockets.count_unacknowledged(ours) > 10_000)

        async def leave() -> None:
            with ours:
                await sockets.close_gracefully(ours)

        leaving = threads.submit(asyncio.run, asyncio.wait_for(leave(), 10))
        heard = 0
        while part := peer.recv(65536):
            heard += len(part)
        peer.close()
        leaving.result(10)
    assert heard == said


def hear(heard: list[bytes], message: Message, _: Ack) -> None:
    heard.append(message.payload)


def test_each_listener_to_a_topic_gets_its_messages_and_nobody_else_does(edge: Mosquitto) -> None:
    heard: dict[str, list[bytes]] = {"one": [], "two": [], "other": []}
    with Proxy(edge.port) as proxy, Linked(proxy.port, "t/#") as linked, Mqtt(edge.port) as giver:
        linked.comes_up()
        for name, topic in (("one", "t/a"), ("two", "t/a"), ("other", "t/b")):
            linked.call(linked.link.listen_to, topic, partial(hear, heard[name]))
        proxy.reset()  # they are subscribed to from the next connection on
        linked.comes_up(2)
        giver.publish("t/a", b"a")
        giver.publish("t/c", b"c")
        until(lambda: linked.messages)
    assert {*heard["one"]} == {*heard["two"]} == {b"a"}
    assert heard["other"] == []
    assert [message.topic for message in linked.messages] == ["t/c"]
