"""The wire under paho: packets whole whatever pieces they come in, and in order as they go."""

from __future__ import annotations

import itertools
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.mqtt import connection, message
from common.mqtt.broker import Broker
from common.mqtt.packet_stream import BUFFER, JOINED, MAX_PACKET, PacketStream
from common.mqtt.property_cache import Malformed
from common.mqtt.qos1 import FIRST, InFlight
from testing.host.wait import until
from testing.mqtt.client import Mqtt
from testing.mqtt.linked import Linked
from testing.mqtt.mosquitto import Mosquitto
from testing.network.pki import Authority

PUBLISH = 0x30


@pytest.fixture
def pair() -> Iterator[tuple[PacketStream, socket.socket]]:
    """A wire, and its other end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield PacketStream(ours), theirs


def packet(size: int, first: int = PUBLISH) -> bytes:
    return bytes((first,)) + message.encode_number(size) + os.urandom(size)


def whole(packets: list[tuple[int, bytes | bytearray]]) -> bytes:
    return b"".join(bytes((first,)) + message.encode_number(len(b)) + b for first, b in packets)


def taken(wire: PacketStream) -> list[tuple[int, bytes | bytearray]]:
    found: list[tuple[int, bytes | bytearray]] = []
    while wire.read():
        found += wire.packets()
    return found


def test_paho_finds_the_wire_where_it_makes_its_socket(edge: Mosquitto) -> None:
    """If this fails, paho has moved the one private name that we use: Client._create_socket."""
    made = connection.create_client(
        Broker("test", "127.0.0.1", edge.port), "seam", kind=connection.PahoClient
    )
    connection.connect_client(made, Broker("test", "127.0.0.1", edge.port))
    wire = made.socket()
    assert isinstance(wire, PacketStream)
    assert wire.waiting  # paho's CONNECT
    wire.close()


@pytest.mark.parametrize("sizes", [(0, 1, 127, 128, 300), (16_383, 16_384)])
def test_packets_are_whole_however_they_were_split(
    pair: tuple[PacketStream, socket.socket], sizes: tuple[int, ...]
) -> None:
    wire, peer = pair
    stream = b"".join(packet(size) for size in sizes)
    for at in range(0, len(stream) + 1, max(1, len(stream) // 1500)):
        found = []
        for part in (stream[:at], stream[at:]):
            peer.sendall(part) if part else None
            found += taken(wire)
        assert whole(found) == stream
    for byte in stream[:2000]:
        peer.sendall(bytes((byte,)))
        found = taken(wire)
    assert not found or found[-1]


def test_packets_larger_than_what_is_read_at_once_are_whole(
    pair: tuple[PacketStream, socket.socket],
) -> None:
    wire, peer = pair
    sizes = (10, BUFFER // 2 - 5, 10, BUFFER // 2, 1_000_000, 0, BUFFER, 3_900_000, 7, 200_000)
    stream = b"".join(packet(size) for size in sizes)
    sender = threading.Thread(target=peer.sendall, args=(stream,))
    sender.start()
    found: list[tuple[int, bytes | bytearray]] = []

    def all_there() -> bool:
        found.extend(taken(wire))
        return len(found) == len(sizes)

    until(all_there)
    sender.join()
    assert whole(found) == stream
    assert not wire.amid_packet


def test_the_end_of_the_connection_is_told(pair: tuple[PacketStream, socket.socket]) -> None:
    wire, peer = pair
    assert wire.read() is False
    peer.sendall(b"\x30\x05ab")
    peer.close()
    assert wire.read() is True
    assert list(wire.packets()) == []
    assert wire.amid_packet
    assert wire.read() is None


@pytest.mark.parametrize(
    "start", [b"\x30\xff\xff\xff\xff\x01", b"\x30" + message.encode_number(MAX_PACKET - 4)]
)
def test_a_length_that_we_allow_nobody_is_refused(
    pair: tuple[PacketStream, socket.socket], start: bytes
) -> None:
    wire, peer = pair
    peer.sendall(start)
    wire.read()
    with pytest.raises(Malformed):
        list(wire.packets())


def test_what_is_queued_goes_in_order_and_is_given_once_the_kernel_has_it(
    pair: tuple[PacketStream, socket.socket],
) -> None:
    wire, peer = pair
    given: list[int] = []
    payloads = [os.urandom(size) for size in (0, JOINED, JOINED + 1, 900_000, 1, 500_000)]
    expected = b""

    def put(number: int, payload: bytes) -> None:
        wire.put(b"head", payload, lambda _: given.append(number))

    for number, payload in enumerate(payloads):
        put(number, payload)
        wire.send(b"of paho")
        expected += b"head" + payload + b"of paho"
    heard = bytearray()
    while wire.waiting:
        wire.write()
        passed = list(itertools.accumulate(len(payload) + 11 for payload in payloads))
        assert len(given) <= sum(len(heard) + 4_000_000 > end for end in passed)
        heard += peer.recv(100_000)
    assert given == list(range(len(payloads)))
    while len(heard) < len(expected):
        heard += peer.recv(1_000_000)
    assert bytes(heard) == expected


def test_what_the_kernel_does_not_take_is_not_reported_as_given(
    pair: tuple[PacketStream, socket.socket],
) -> None:
    wire, _peer = pair  # who does not read
    given: list[str | None] = []
    for _ in range(100):
        wire.put(b"head", bytes(100_000), given.append)
        wire.write()
    assert wire.waiting
    assert 0 < len(given) < 50


def exchange() -> tuple[InFlight, PacketStream]:
    wire = PacketStream(socket.socket())
    return InFlight(wire), wire


def mids(wire: PacketStream, peer: socket.socket) -> list[int]:
    """Packet identifiers of what has come since; topics are of one character."""
    wire.write()
    heard, found = peer.recv(65_536), []
    while heard:
        found.append(struct.unpack_from("!H", heard, 5)[0])
        heard = heard[2 + heard[1] :]
    return found


def ack(mid: int, *rest: int) -> bytes:
    return struct.pack("!H", mid) + bytes(rest)


def test_no_more_go_unacknowledged_than_the_broker_takes(
    pair: tuple[PacketStream, socket.socket],
) -> None:
    wire, peer = pair
    sender = InFlight(wire)
    sender.maximum = 3
    done: list[tuple[int, str | None]] = []

    def send(number: int) -> None:
        sender.send("t", b"x", False, b"", lambda reason: done.append((number, reason)))

    for number in range(5):
        send(number)
    assert mids(wire, peer) == [FIRST, FIRST + 1, FIRST + 2]
    sender.on_puback(ack(FIRST + 1))
    sender.on_puback(ack(FIRST + 1))  # again: of nothing that is open
    assert done == [(1, None)]
    assert mids(wire, peer) == [FIRST + 3]
    for mid in (FIRST, FIRST + 2, FIRST + 3, FIRST + 4):
        sender.on_puback(ack(mid))
    assert [number for number, _ in done] == [1, 0, 2, 3, 4]


def test_identifiers_in_use_are_passed_over_and_are_none_of_paho_s(
    pair: tuple[PacketStream, socket.socket],
) -> None:
    wire, peer = pair
    sender = InFlight(wire)
    sender.send("t", b"x", False, b"", lambda _: None)  # stays open
    assert mids(wire, peer) == [FIRST]
    for _ in range(70_000):
        sender.send("t", b"x", False, b"", lambda _: None)
        (mid,) = mids(wire, peer)
        assert mid > FIRST
        sender.on_puback(ack(mid))


@pytest.mark.parametrize(
    ("rest", "retain", "outcome"),
    [
        ((), False, None),
        ((0x00,), False, None),
        ((0x00, 0x00), False, None),
        ((0x10,), False, "refused"),  # nobody has it
        ((0x10,), True, None),  # but for the broker
        ((0x87, 0x00), True, "refused"),
        ((0x95,), False, "refused"),  # no code of a PUBACK, but Mosquitto has been seen to say it
    ],
)
def test_the_reason_of_an_acknowledgement_counts(
    rest: tuple[int, ...], retain: bool, outcome: str | None
) -> None:
    sender, wire = exchange()
    with wire.sock:
        done: list[str | None] = []
        sender.send("t", b"x", retain, b"", done.append)
        sender.on_puback(ack(FIRST, *rest))
        assert done == [outcome]


def test_an_acknowledgement_that_is_cut_short_is_refused() -> None:
    sender, wire = exchange()
    with wire.sock, pytest.raises(Malformed):
        sender.on_puback(b"\x80")


@pytest.mark.parametrize("tls", [False, True])
def test_at_qos_1_what_is_refused_and_what_is_taken_are_told_apart(
    tmp_path: Path, tls: bool
) -> None:
    authority = Authority(tmp_path / "pki")
    acl = tmp_path / "acl"
    acl.write_text("pattern readwrite t\npattern read denied\n")  # of whomever
    acl.chmod(0o644)
    listener = authority.listener(authority.issue("b", host="127.0.0.1")) if tls else ""
    own = authority.issue("box-1")
    with Mosquitto(tmp_path, f"{listener}\nacl_file {acl}") as broker:
        files = {"ca": str(authority.ca), "cert": str(own.cert), "key": str(own.key)}
        reached = Broker("test", "127.0.0.1", broker.port, **(files if tls else {}))
        with (
            Linked(reached, "t", id="taker", qos=1) as taker,
            Linked(reached, qos=1) as giver,
        ):
            taker.comes_up()
            giver.comes_up()
            outcomes: list[tuple[str, str | None]] = []

            def publish(topic: str, payload: bytes) -> None:
                giver.call(
                    giver.link.publish,
                    topic,
                    payload,
                    done=lambda reason: outcomes.append((topic, reason)),
                )

            for number in range(120):
                topic = "denied" if number % 3 == 0 else "t"
                payload = bytes([number]) * (200_000 if number % 10 == 1 else 1000)
                publish(topic, payload)
            until(lambda: len(outcomes) == 120)
            until(lambda: len(taker.messages) == 80)
    assert set(outcomes) == {("denied", "refused"), ("t", None)}
    assert [m.payload[0] for m in taker.messages] == [n for n in range(120) if n % 3]


def test_the_goodbye_comes_behind_what_was_queued(edge: Mosquitto) -> None:
    with Mqtt(edge.port, "late") as other:
        with Linked(edge.port) as linked:
            linked.comes_up()

            def all_at_once() -> None:
                for number in range(100):
                    linked.link.publish("late", b"%03d" % number + bytes(50_000))

            linked.call(all_at_once)
        until(lambda: len(other.messages) == 100)
    assert [int(message.payload[:3]) for message in other.messages] == list(range(100))
