"""Whatever a stranger sends ends in a verdict, and is counted: a fuzzer on the front door."""

from __future__ import annotations

import dataclasses
import random
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from common.protocol import keys
from processor.validation import Arrival, validate
from testing.host.wait import until
from testing.mqtt.received import PublishProperties
from testing.pictures import png
from testing.services.processor import DROPPED, DUPLICATES, RECEIVED, storing

STORED = "facepipe_processor_faces_stored_total"
REJECTED = "facepipe_processor_faces_rejected_total"
ID = "0123456789abcdef0123456789abcdef"
NAMES = ("id", "device", "camera", "captured", "clock", "frame", "box", "score", "scale", "note")
# Values that other programs have stumbled over, and sound ones.
VALUES = (
    *("", " ", ".", "..", "../../etc/passwd", "/", "a" * 64, "a" * 65, "x" * 3000, "rejected"),
    *("unknown", "box-1", "BOX", "-", "0", "-1", "1e999", "nan", "9" * 30, "1,2,3,4", "\u0661"),
    *("%s%n", "${jndi:x}", "<script>", "'; --", "two\nlines", "tab\t", "\U0001f600", "\u202e"),
    *("0000-00-00T00:00:00Z", "2026-02-30T00:00:00Z", "9999-12-31T23:59:59.999999Z"),
    *("1969-12-31T23:59:59Z", "2026-03-01T23:59:59.1Z", "2026-03-01T24:00:00Z", ID, "set"),
)
TOPICS = ("faces",) * 4 + ("faces/from/box-1", "faces/from/box-2", "faces/from/", "faces/from/../x")


def chunk(kind: bytes, body: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + crc


def split(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a sound PNG."""
    chunks, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 40))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def spliced(data: bytes, rng: random.Random) -> bytes:
    at, other = rng.randrange(len(data)), rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.randrange(40)) + data[other:]


def rebuilt(data: bytes, rng: random.Random) -> bytes:
    """Sound chunks, wrong PNG: gets past the CRCs."""
    chunks = split(data)
    for _ in range(rng.randrange(1, 4) if chunks else 0):
        at = rng.randrange(len(chunks))
        kind, body = chunks[at]
        what = rng.randrange(6)
        if what == 0:
            chunks.insert(rng.randrange(len(chunks) + 1), (kind, body))
        elif what == 1 and len(chunks) > 1:
            del chunks[at]
        elif what == 2 and body:
            chunks[at] = (kind, flipped(body, rng))
        elif what == 3:
            kind = bytes(rng.choice(b"IDATENHRPLTEtxz7\0") for _ in range(4))
            chunks.insert(at, (kind, rng.randbytes(rng.randrange(800))))
        elif what == 4 and chunks[0][0] == b"IHDR":
            numbers = [rng.choice((0, 1, 8, 9, 8192, 60_000, 2**31, 2**32 - 1)) for _ in "wh"]
            rest = bytes(rng.randrange(17) for _ in range(5))
            chunks[0] = (b"IHDR", struct.pack(">II", *numbers) + rest)
        else:
            chunks[at] = (b"IDAT", zlib.compress(bytes(rng.randrange(200_000))))
    return data[:8] + b"".join(chunk(kind, body) for kind, body in chunks)


def anything(data: bytes, rng: random.Random) -> bytes:
    return rng.choice((b"", data[:8], rng.randbytes(rng.randrange(300)), data + b"\0", data))


MUTATORS: tuple[Callable[[bytes, random.Random], bytes], ...] = (flipped, cut, spliced, anything)


def coloured(channels: int, side: int = 12) -> bytes:
    pixels = np.random.default_rng(channels).integers(0, 256, (side, side, channels), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


SEEDS = (png(), png(3, 40), coloured(3), coloured(4))


def properties(rng: random.Random) -> list[tuple[str, str]]:
    pairs = [("id", ID), ("device", "box-1"), ("camera", "cam-1")]
    pairs += [("captured", "2026-03-01T23:59:59.123456Z")]
    for _ in range(rng.choice((0, 0, 0, 0, 1, 1, 6))):
        what, value = rng.randrange(4), rng.choice(VALUES)
        at = rng.randrange(len(pairs)) if pairs else 0
        if what == 0 and pairs:
            del pairs[at]
        elif what == 1 and pairs:
            pairs[at] = (pairs[at][0], value)
        elif what == 2:
            pairs.append((rng.choice((*NAMES, *VALUES)), value))
        else:
            text = "".join(chr(rng.randrange(0x2FF)) for _ in range(rng.randrange(30)))
            pairs.append((rng.choice(NAMES), text))
    return pairs


def arrival(rng: random.Random) -> Arrival:
    payload = rng.choice(SEEDS)
    if rng.random() < 0.4:
        payload = rebuilt(payload, rng)
    for _ in range(rng.choice((0, 0, 1, 2))):
        payload = rng.choice(MUTATORS)(payload or b"\0", rng)
    correlation = rng.choice((None, None, *[ID.encode()] * 4, rng.randbytes(rng.randrange(80))))
    response = rng.choice((None, "faces/receipts/box-1", "faces/receipts/box-2", "$SYS/x"))
    pairs = tuple(properties(rng))
    return Arrival(rng.choice(TOPICS), payload, pairs, correlation, response, 1.7e9)


def test_a_hundred_thousand_mutations_each_end_in_a_verdict_that_can_be_stored() -> None:
    rng = random.Random(7)
    reasons: Counter[str | None] = Counter()
    for _ in range(100_000):
        came = arrival(rng)
        verdict = validate(came, "faces")
        reasons[verdict.reason] += 1
        facts = verdict.facts
        rejected = keys.rejected_key(facts["device"], verdict.reason or "", facts["id"])
        for key in (keys.format_key(keys.DEFAULT_TEMPLATE, facts, verdict.captured), rejected):
            assert key.isascii()
            assert key.isprintable()
            assert len(key) <= 1024
            assert not {"", ".", ".."} & set(key.split("/"))
        assert all(text.isascii() and text.isprintable() for pair in facts.items() for text in pair)
        assert facts["device"] != "rejected"
        if verdict.reason is None:
            assert sum(map(len, facts)) + sum(map(len, facts.values())) <= 2200
            if reasons[None] % 10 == 0:
                pixels = cv2.imdecode(np.frombuffer(came.payload, np.uint8), cv2.IMREAD_COLOR)
                assert pixels is not None, "it is taken for a face and does not open"
    expected = {None, "empty", "not_png", "truncated", "bad_crc", "bad_structure", "bad_data"}
    assert reasons.keys() == expected | {"dimensions", "bad_property", "device_mismatch"}
    assert min(reasons.values()) > 100


def renamed(came: Arrival, id: str) -> Arrival:
    """The same with another id, where it has the one that all have."""
    correlation = id.encode() if came.correlation == ID.encode() else came.correlation
    pairs = tuple((name, id if text == ID else text) for name, text in came.user_properties)
    return dataclasses.replace(came, user_properties=pairs, correlation=correlation)


def wire(text: str) -> bool:
    """Whether a broker passes it on: MQTT 5, section 1.5.4, forbids some characters."""
    return all(ord(c) >= 0x20 and not 0x7F <= ord(c) <= 0x9F for c in text)


def test_thousands_over_the_wire_are_all_counted(tmp_path: Path) -> None:
    rng = random.Random(8)
    count = 3000
    with storing(tmp_path) as (s3, service, sender):
        for number in range(count):
            came = arrival(rng)
            if rng.random() < 0.5:
                came = renamed(came, f"{number:032x}")
            named = PublishProperties()
            if came.correlation is not None:
                named["CorrelationData"] = came.correlation
            if came.response_topic not in (None, "$SYS/x"):
                named["ResponseTopic"] = came.response_topic
            user = [pair for pair in came.user_properties if wire("".join(pair))]
            topic = rng.choice(TOPICS[:6])
            sender.publish(topic, came.payload, user=user, **named)
        until(lambda: service.metric(RECEIVED) >= count, 30, "all are received")

        def fates() -> list[float]:
            return [service.metric(name) for name in (STORED, REJECTED, DUPLICATES, DROPPED)]

        until(lambda: sum(fates()) == count, 60, "each has its fate")
        stored, rejected, duplicates, dropped = fates()
        assert service.metric(RECEIVED) == count
        assert min(stored, rejected, duplicates) > 20
        assert dropped == service.metric(DROPPED, reason="rejected_often")
        assert service.metric("facepipe_errors_total") == 0
        complaints = service.health()["reasons"].items()
        assert all(name.startswith("sender_") and why == "floods" for name, why in complaints)
        kept = [key for key in s3.faces if key.startswith("rejected/")]
        assert len(kept) <= rejected
        assert len(s3.faces) - len(kept) <= stored
        assert "Traceback" not in service.log
        assert service.stop() == 0
