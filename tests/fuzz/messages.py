"""What a device may send by MQTT, through the parsers of every service, and the PNG in a face."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

from common import png
from common.mqtt.message import Message
from common.mqtt.packet_stream import PacketStream
from common.mqtt.property_cache import Malformed, TooManyProperties
from common.protocol import keys
from common.protocol.fields import BadMessage
from common.protocol.receipt import Receipt
from common.protocol.status import Status
from common.protocol.stored import Stored
from gallery.deletion import records
from gallery.fleet import presentation
from gallery.fleet.statuses import Statuses
from gallery.fleet.summary import summarize
from gallery.index.model import entry_from_announcement
from processor.validation import Arrival, validate

Target = Callable[[bytes], None]
TOPICS = ("faces", "faces/from/box-1", "faces/stored", "faces/status/box-1/detector/door")
_read_key = keys.create_key_reader(keys.DEFAULT_TEMPLATE)


@contextlib.contextmanager
def mqtt() -> Iterator[Target]:
    """An input is what comes off the broker: packets, and then what each service makes of them."""
    mine, other = socket.socketpair()
    mine.setblocking(False)
    statuses = Statuses("faces")

    def run(data: bytes) -> None:
        stream = PacketStream(mine)
        other.sendall(data)
        with contextlib.suppress(Malformed):
            while stream.read():
                for first, body in stream.packets():
                    if first >> 4 == 3:
                        publish(first, body, statuses)
        while stream.read():  # what is left behind a malformed packet
            stream = PacketStream(mine)

    with mine, other:
        yield run


def publish(first: int, body: bytes | bytearray, statuses: Statuses) -> None:
    try:
        message = Message(first, body)
    except (Malformed, TooManyProperties):
        return
    # The forwarder passes it on.
    assert message.expiry is None or message.expiry >= 0
    message.encode_for_next_hop()
    # The processor looks at it.
    properties = message.properties
    arrival = Arrival(
        message.topic,
        message.payload,
        tuple(getattr(properties, "UserProperty", ())),
        getattr(properties, "CorrelationData", None),
        getattr(properties, "ResponseTopic", None),
        time.time(),
    )
    verdict = validate(arrival, "faces")
    if verdict.reason is None:
        keys.format_key(keys.DEFAULT_TEMPLATE, verdict.facts, verdict.captured)
    keys.rejected_key(verdict.facts["device"], verdict.reason or "", verdict.facts["id"])
    # Gallery and detector.
    report(statuses, message.topic, message.payload)
    json_message(message.payload)


def report(statuses: Statuses, topic: str, payload: bytes) -> None:
    """A status, as far as the page that shows it."""
    device = statuses.take(topic, payload)
    if device is not None and (instances := statuses.of(device)):
        summary = summarize(device, instances, time.time())
        presentation.row(summary)
        for one in instances:
            presentation.service(one, summary.state, time.time())


def json_message(payload: bytes) -> None:
    with contextlib.suppress(BadMessage):
        Receipt.decode(payload).encode()
    with contextlib.suppress(BadMessage):
        Status.decode(payload)
    with contextlib.suppress(BadMessage):
        entry_from_announcement(Stored.decode(payload), _read_key)
    with contextlib.suppress(ValueError, RecursionError):  # both are caught where it is called
        records.read_record(payload)


@contextlib.contextmanager
def json() -> Iterator[Target]:
    statuses = Statuses("faces")

    def run(data: bytes) -> None:
        json_message(data)
        report(statuses, TOPICS[3], data)

    yield run


@contextlib.contextmanager
def pictures() -> Iterator[Target]:
    def run(data: bytes) -> None:
        with contextlib.suppress(png.BadImage):
            png.check(data)
        with contextlib.suppress(png.BadImage):
            png.read_size(data)

    yield run
