"""`DELIVERY=receipt`: a face is kept, and sent again, until its receipt comes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from testing.clips import clips
from testing.host.wait import until
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.received import Received
from testing.services.detector import balance, books, facts
from testing.services.receipts import STATUS, Processor, start, stored


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return clips.write(tmp_path / "face.avi", clips.faces(24), "MJPG")


def test_each_face_is_sent_once_and_confirmed_when_all_goes_well(
    edge: Mosquitto, clip: object
) -> None:
    with Processor(edge.port, lambda m, _: [stored(m)]) as processor, start(edge, clip) as service:
        service.says("24 captured, 24 confirmed, 0 rejected, 0 dropped, 0 waiting")
        assert len(processor.copies) == 24
        assert all(len(copies) == 1 for copies in processor.copies.values())
        assert service.stop() == 0


@pytest.mark.parametrize("window", [1, 3])
def test_no_more_than_the_window_is_ever_unanswered(
    edge: Mosquitto, clip: object, window: int
) -> None:
    hold = Processor(edge.port, lambda *_: [])
    # Oldest first, so that it is the same faces that are sent again on a slow machine.
    env = {"OUTBOX_WINDOW": window, "OUTBOX_ORDER": "oldest"}
    with hold as processor, start(edge, clip, **env) as service:
        until(lambda: books(service)["captured"] == 24)
        # On a slow machine a time-out may have made the window smaller by now.
        assert service.metric("facepipe_detector_faces_under_way") <= window
        assert processor.most_unanswered == window
        processor.answer_the_rest()
        service.says("24 captured, 24 confirmed")
        assert processor.most_unanswered == window


def test_bytes_bound_what_is_under_way_too(edge: Mosquitto, clip: object) -> None:
    hold = Processor(edge.port, lambda *_: [])
    with hold as processor, start(edge, clip, OUTBOX_ORDER="oldest") as service:
        until(lambda: books(service)["captured"] == 24)
        until(lambda: len(processor.copies) > 1)
        copies = [copies[0] for copies in processor.copies.values()]
        assert sum(map(len, copies)) <= 128 * 1024
        assert len(copies) < 24


def test_a_face_that_never_gets_a_receipt_does_not_hold_up_the_others(
    edge: Mosquitto, clip: object
) -> None:
    poison: list[str] = []

    def all_but_the_first(message: Received, _: int) -> list[dict[str, Any]]:
        id = facts(message)["id"]
        poison.append(id)
        return [] if id == poison[0] else [stored(message)]

    env = {"OUTBOX_WINDOW": 2, "OUTBOX_ORDER": "oldest"}
    with Processor(edge.port, all_but_the_first), start(edge, clip, **env) as service:
        until(lambda: books(service)["confirmed"] == 23, 30)
        assert books(service)["waiting"] == 1


def test_without_a_receipt_the_same_bytes_come_again_later_and_later(
    edge: Mosquitto, clip: object
) -> None:
    def on_third(message: Received, copy: int) -> list[dict[str, Any]]:
        return [stored(message)] if copy >= 3 else []

    env = {"OUTBOX_WINDOW": 1, "OUTBOX_ORDER": "oldest"}
    with Processor(edge.port, on_third) as processor, start(edge, clip, **env) as service:
        until(lambda: books(service)["confirmed"] >= 1, 20)
        id = next(iter(processor.copies))
        first, _, third = processor.at[id]
        assert len(set(processor.copies[id])) == 1
        # Time-outs of 3 s and 6 s (RFC 6298): later than two of 3 s, however late the first came.
        assert third - first > 7.5
        assert service.metric("facepipe_detector_faces_resent_total") >= 2
        assert balance(books(service))


def test_a_wrong_digest_is_counted_and_does_not_count_as_stored(
    edge: Mosquitto, clip: object
) -> None:
    def wrong_then_right(message: Received, copy: int) -> list[dict[str, Any]]:
        return [stored(message, sha256="0" * 64) if copy == 1 else stored(message)]

    with Processor(edge.port, wrong_then_right) as processor, start(edge, clip) as service:
        service.says("24 captured, 24 confirmed", 30)
        assert service.metric("facepipe_detector_receipts_mismatched_total") == 24
        assert all(len(copies) == 2 for copies in processor.copies.values())


def test_a_rejected_face_is_counted_by_its_reason_and_not_sent_again(
    edge: Mosquitto, clip: object
) -> None:
    reasons = iter(["not_png", "too_large", "Ünfug!\n" * 99, None] * 6)

    def reject(message: Received, _: int) -> list[dict[str, Any]]:
        return [stored(message, outcome="rejected", reason=next(reasons))]

    with Processor(edge.port, reject) as processor, start(edge, clip) as service:
        service.says(r"24 captured, 0 confirmed, 24 rejected \(.+\), 0 dropped, 0 waiting")
        name = "facepipe_detector_faces_rejected_total"
        assert [service.metric(name, reason=r) for r in ("not_png", "too_large", "other")] == [
            6,
            6,
            12,
        ]
        assert all(len(copies) == 1 for copies in processor.copies.values())


def test_strange_and_second_receipts_change_nothing(edge: Mosquitto, clip: object) -> None:
    def oddly(message: Received, _: int) -> list[dict[str, Any]]:
        of_another = stored(message, id="00000000-of-another-camera")
        unknown = stored(message, outcome="perhaps")
        return [of_another, unknown, {"id": 7}, stored(message), stored(message)]

    with Processor(edge.port, oddly) as processor, start(edge, clip) as service:
        for payload in (b"", b"\xff", b"[]", b'"x"', b"7", b"[" * 5000, b"{}"):
            processor.publish("faces/receipts/box-1", payload)
        service.says("24 captured, 24 confirmed, 0 rejected, 0 dropped, 0 waiting")
        assert service.metric("facepipe_errors_total") == 0
        assert "Traceback" not in service.log
        assert balance(books(service))
        assert service.stop() == 0


def test_a_broker_that_comes_back_gets_what_was_under_way_again(
    edge: Mosquitto, clip: object
) -> None:
    with start(edge, clip, OUTBOX_WINDOW=4) as service:
        with Processor(edge.port, lambda *_: []) as processor:
            until(lambda: len(processor.copies) == 4)
            lost = set(processor.copies)
        edge.kill()
        service.says(r"\((lost|closed)\)")
        until(lambda: books(service)["waiting"] == 24)
        edge.start()
        with Processor(edge.port, lambda m, _: [stored(m)]) as processor:
            service.says("24 captured, 24 confirmed", 30)
            assert lost <= set(processor.copies)


def test_a_face_that_the_broker_will_not_take_is_dropped_and_holds_up_no_other(
    tmp_path: Any, clip: object
) -> None:
    with (
        Mosquitto(tmp_path, "max_packet_size 25000") as broker,
        Processor(broker.port, lambda m, _: [stored(m)]) as processor,
        start(broker, clip) as service,
    ):
        found = service.says(
            r"24 captured, (\d+) confirmed, 0 rejected, (\d+) dropped \(.+\), 0 waiting"
        )
        confirmed, dropped = int(found[1]), int(found[2])
        assert confirmed > 0
        assert dropped > 0
        assert (
            service.metric("facepipe_detector_faces_dropped_total", reason="too_large") == dropped
        )
        assert len(processor.copies) == confirmed
        assert service.metric("facepipe_mqtt_failures_total") == 0


def test_a_full_memory_drops_the_oldest_and_the_books_balance_at_every_moment(
    edge: Mosquitto,
) -> None:
    def now_and_then(message: Received, copy: int) -> list[dict[str, Any]]:
        return [stored(message)] if int(facts(message)["frame_index"]) % 3 or copy > 1 else []

    env = {"OUTBOX_MAX_MB": 1, "OUTBOX_WINDOW": 4, "CAMERA_LOOP": 1, "CAMERA_FPS": 60}
    with (
        Processor(edge.port, now_and_then) as processor,
        start(edge, clips.CLIP, DETECT_WIDTH=320, **env) as service,
    ):
        seen: list[dict[str, float]] = []

        def watch() -> bool:
            seen.append(books(service))
            assert balance(seen[-1]), seen[-1]
            assert service.metric("facepipe_detector_waiting_bytes") <= 1024 * 1024
            return seen[-1]["dropped"] > 20 and seen[-1]["confirmed"] > 20

        until(watch, 40, "faces are dropped")
        edge.kill()
        until(lambda: watch() and books(service)["dropped"] > seen[0]["dropped"] + 60, 30)
        for message in processor.on(STATUS):
            told = json.loads(message.payload)
            if told["state"] == "online":
                fates = told["confirmed"] + told["sent"] + told["waiting"]
                fates += sum(told["rejected"].values()) + sum(told["dropped"].values())
                assert told["captured"] == fates
