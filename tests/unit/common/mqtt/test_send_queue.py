"""The bounded buffer in front of a link: order, copies, bounds, and what is not sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from common.mqtt import message
from common.mqtt.client import Client
from common.mqtt.send_queue import HANDED_OVER, MAX_TRIES, OVERHEAD, OutboundMessage, SendQueue
from testing.mqtt.publish import unpack

MEGABYTE = 1024 * 1024


class Wire:
    """A link that a test connects, cuts and empties by hand."""

    def __init__(self, qos: int = 0) -> None:
        self.qos = qos
        self.on_up: list[Callable[[], None]] = []
        self.on_down: list[Callable[[str], None]] = []
        self.up = False
        self.max_packet = 4 * MEGABYTE
        self.handed: list[tuple[bytes, Any, Callable[[str | None], None]]] = []
        self.sent: list[bytes] = []

    def publish(self, topic: str, payload: bytes, *, properties: Any, done: Any, **_: Any) -> bool:
        assert self.up
        self.handed.append((payload, properties, done))
        return True

    def connect(self) -> None:
        self.up = True
        for call in self.on_up:
            call()

    def cut(self, reason: str = "lost") -> None:
        self.up = False
        self.handed.clear()
        for call in self.on_down:
            call(reason)

    def send(self, count: int = 1) -> None:
        for _ in range(count):
            payload, _, done = self.handed.pop(0)
            self.sent.append(payload)
            done(None)

    def send_all(self) -> None:
        while self.handed:
            self.send()


class Kit:
    """A buffer, its wire, and what became of each parcel."""

    def __init__(self, max_bytes: int = MEGABYTE, qos: int = 0) -> None:
        self.wire = Wire(qos)
        self.buffer = SendQueue(cast(Client, self.wire), max_bytes)
        self.outcomes: list[tuple[bytes, str | None]] = []

    def put(self, payload: bytes, **more: Any) -> bool:
        def settled(reason: str | None) -> None:
            self.outcomes.append((payload, reason))

        return self.buffer.put(OutboundMessage("t", payload, on_settled=settled, **more))


@pytest.fixture
def kit() -> Kit:
    return Kit()


def test_what_waited_is_sent_in_order() -> None:
    kit = Kit(4 * MEGABYTE)
    payloads = [b"%d" % number for number in range(2000)]
    for payload in payloads[:900]:
        kit.put(payload)
    kit.wire.connect()
    kit.wire.send(500)
    for payload in payloads[900:]:
        kit.put(payload)
    kit.wire.send_all()
    assert kit.wire.sent == payloads
    assert kit.outcomes == [(payload, None) for payload in payloads]
    assert (len(kit.buffer), kit.buffer.bytes) == (0, 0)


@pytest.mark.parametrize("size", [0, 1, 20_000, 300_000])
def test_little_is_handed_over_at_a_time_yet_one_message_at_least(kit: Kit, size: int) -> None:
    kit.wire.connect()
    for _ in range(400):
        kit.put(bytes(size))
    handed = len(kit.wire.handed)
    assert handed == max(1, HANDED_OVER[0] // (size + OVERHEAD))


def test_large_faces_need_not_wait_for_each_others_acknowledgements() -> None:
    kit = Kit(16 * MEGABYTE, qos=1)
    kit.wire.connect()
    for _ in range(40):
        kit.put(bytes(200_000))
    assert len(kit.wire.handed) == HANDED_OVER[1] // (200_000 + OVERHEAD) > 16


def test_a_copy_takes_the_place_of_what_waits(kit: Kit) -> None:
    assert kit.put(b"old", key=b"k")
    assert kit.put(b"other")
    assert not kit.put(b"new", key=b"k")
    kit.wire.connect()
    kit.wire.send_all()
    assert kit.wire.sent == [b"new", b"other"]
    assert (b"old", "replaced") in kit.outcomes


def test_a_copy_of_what_is_being_sent_is_not_sent_again(kit: Kit) -> None:
    kit.wire.connect()
    kit.put(b"face", key=b"k")
    assert not kit.put(b"face", key=b"k")
    kit.wire.send_all()
    assert kit.wire.sent == [b"face"]
    assert kit.outcomes == [(b"face", "replaced"), (b"face", None)]


def test_news_under_the_key_of_what_is_being_sent_follow_it(kit: Kit) -> None:
    kit.wire.connect()
    for state in (b"online", b"offline", b""):
        kit.put(state, key="status")
    kit.wire.send_all()
    assert kit.wire.sent[-1] == b""


def test_after_a_cut_what_is_old_news_is_not_sent_again(kit: Kit) -> None:
    kit.wire.connect()
    kit.put(bytes(HANDED_OVER[0]))
    kit.put(b"online", key="status")
    kit.wire.send()
    kit.put(bytes(HANDED_OVER[0]))
    kit.put(b"offline", key="status")
    kit.wire.cut()
    kit.wire.connect()
    kit.wire.send_all()
    assert kit.wire.sent[-1] == b"offline"
    assert kit.wire.sent.count(b"online") == 0
    assert (b"online", "replaced") in kit.outcomes
    assert kit.buffer.bytes == 0


def test_beyond_its_bound_the_oldest_go_and_are_counted(kit: Kit) -> None:
    for number in range(300):
        kit.put(b"%03d" % number * 3000)
        assert kit.buffer.bytes <= MEGABYTE
    dropped = [payload for payload, reason in kit.outcomes if reason == "full"]
    assert len(kit.buffer) == 300 - len(dropped)
    kit.wire.connect()
    kit.wire.send_all()
    assert dropped + kit.wire.sent == [b"%03d" % number * 3000 for number in range(300)]


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_the_bound_holds_for_tiny_messages_with_large_properties_too(kit: Kit, size: int) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("name", "x" * 50_000)]
    kit.wire.connect()  # and stalled: nothing is sent
    for _ in range(100):
        kit.buffer.put(OutboundMessage("t", bytes(size), message.pack_properties(properties)))
    assert len(kit.buffer) <= MEGABYTE // 50_000


def test_what_is_larger_than_the_bound_passes_while_the_link_is_free(kit: Kit) -> None:
    kit.wire.connect()
    kit.put(bytes(2 * MEGABYTE))
    kit.wire.send()
    assert kit.outcomes == [(bytes(2 * MEGABYTE), None)]


def test_what_the_broker_would_not_take_is_dropped_and_holds_nothing_up(kit: Kit) -> None:
    kit.wire.max_packet = 1000
    kit.wire.connect()
    kit.put(bytes(1000))
    kit.put(b"small")
    kit.wire.send_all()
    assert kit.outcomes == [(bytes(1000), "too_large"), (b"small", None)]


def test_what_is_cut_off_again_and_again_lets_others_pass_and_is_given_up(kit: Kit) -> None:
    kit.put(b"poison")
    kit.put(b"good")
    for _ in range(MAX_TRIES):
        kit.wire.connect()
        while kit.wire.handed and kit.wire.handed[0][0] != b"poison":
            kit.wire.send()
        kit.wire.cut()
    assert kit.wire.sent == [b"good"]
    assert kit.outcomes == [(b"good", None), (b"poison", "refused")]
    assert len(kit.buffer) == 0


def test_what_has_expired_is_not_sent(kit: Kit) -> None:
    begun = time.monotonic()
    kit.put(b"old", expires_at=begun - 1)
    kit.put(b"young", expires_at=begun + 100)
    kit.wire.connect()
    passed = time.monotonic() - begun
    _, properties, _ = kit.wire.handed[0]
    assert round(100 - passed) <= unpack(properties).MessageExpiryInterval <= 100
    kit.wire.send_all()
    assert kit.outcomes == [(b"old", "expired"), (b"young", None)]


def test_what_leaves_after_all_was_given_up_is_settled_once(kit: Kit) -> None:
    kit.wire.connect()
    kit.put(b"under way")
    kit.put(bytes(HANDED_OVER[0]))
    kit.buffer.clear("shutdown")
    kit.wire.send_all()
    assert [reason for _, reason in kit.outcomes] == ["shutdown", "shutdown"]
    assert kit.buffer.bytes == 0


actions = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 5), st.integers(0, 90_000)),
        st.sampled_from([("connect",), ("cut",), ("send",)]),
    ),
    max_size=60,
)


@given(actions)
def test_each_parcel_is_settled_exactly_once_whatever_happens(actions: list[Any]) -> None:
    kit = Kit(300_000)
    settled: list[int] = []
    put = 0
    for action, *rest in actions:
        if action == "put":
            key, size = rest
            parcel = OutboundMessage("t", bytes(size), key=key or None)
            parcel.on_settled = partial(lambda number, _: settled.append(number), put)
            kit.buffer.put(parcel)
            put += 1
        elif action == "connect" and not kit.wire.up:
            kit.wire.connect()
        elif action == "cut" and kit.wire.up:
            kit.wire.cut()
        elif action == "send" and kit.wire.handed:
            kit.wire.send()
        assert kit.buffer.bytes <= 300_000 + 90_000
    if not kit.wire.up:
        kit.wire.connect()
    kit.wire.send_all()
    assert sorted(settled) == list(range(put))
    assert (len(kit.buffer), kit.buffer.bytes) == (0, 0)
