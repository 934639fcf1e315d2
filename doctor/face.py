"""A test face all the way: published as a detector would, and its receipt waited for."""

from __future__ import annotations

import asyncio
import dataclasses
import struct
import time
import zlib
from typing import Any

from paho.mqtt.subscribeoptions import SubscribeOptions

from common import png
from common.mqtt import Ack, Broker, ConnectionFailed, Message
from common.protocol.clock import to_rfc3339
from common.protocol.face import Face, Ids
from common.protocol.fields import BadMessage
from common.protocol.receipt import Receipt
from common.protocol.topics import DOCTOR, Topics
from doctor import brokers
from doctor.check import Finding, fail, ok

WAIT = 30.0  # seconds for the receipt, unless another time is given
_SIDE = 32  # pixels


@dataclasses.dataclass(frozen=True)
class SentFace:
    """after: seconds from publishing to the receipt; sent: when it was published."""

    receipt: Receipt
    after: float
    sent: float


async def send_face(
    broker: Broker, topic: str, root: str, device: str, wait: float
) -> SentFace | None:
    """Publish a test face of `device` on `topic`; None if no receipt comes.

    root: MQTT_TOPIC, the root of the topics. wait: seconds for the receipt.

    Raises:
        ConnectionFailed: the broker does not let us in.
    """
    topics = Topics(root)
    now = time.time()
    facts = {"id": Ids().next(), "device": device, "camera": DOCTOR, "captured": to_rfc3339(now)}
    face = Face(create_picture(), facts)
    arrived: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()

    def take(message: Message, ack: Ack) -> None:
        ack()
        try:
            receipt = Receipt.decode(bytes(message.payload))
        except BadMessage:
            return  # not ours: the device's own faces have receipts there, too
        if receipt.id == face.id and not arrived.done():
            arrived.set_result(receipt)

    client_id = f"{DOCTOR}-{face.id[-8:]}"
    async with brokers.connect(broker, client_id, take) as connection:
        answers = [(topics.receipts(device), SubscribeOptions(qos=0))]
        if any(code.is_failure for code in await connection.subscribe(answers)):
            raise ConnectionFailed("denied", "the broker denies the topic of the receipts")
        payload, properties = face.encode(topics)
        began = time.monotonic()
        connection.publish(topic, payload, lambda *_: None, properties=properties)
        either: set[asyncio.Future[Any]] = {arrived, connection.closed}
        await asyncio.wait(either, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        after = time.monotonic() - began
    if not arrived.done():
        return None
    return SentFace(arrived.result(), after, now)


def create_picture() -> bytes:
    """A grey ramp of 32 x 32 pixels, as PNG."""
    row = b"\0" + bytes(column * 255 // (_SIDE - 1) for column in range(_SIDE))
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 0, 0, 0, 0)  # 8 bits of grey: 11.2.1
    return (
        png.SIGNATURE
        + png.encode_chunk(b"IHDR", header)
        + png.encode_chunk(b"IDAT", zlib.compress(row * _SIDE))
        + png.encode_chunk(b"IEND", b"")
    )


def judge_delivery(sent: SentFace) -> Finding:
    """What a receipt says of the way that a test face took."""
    receipt = sent.receipt
    if receipt.outcome != "stored":
        return fail(
            f"the processor rejected the test face: {receipt.reason}",
            "processor and doctor must be of one version: update both",
            receipt.reason or "other",
        )
    return ok(f"receipt after {sent.after:.2f} s, stored as {receipt.key}")
