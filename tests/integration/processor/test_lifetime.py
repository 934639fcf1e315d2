"""The processor's start, its stop, and what it can hold between them."""

from __future__ import annotations

import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from testing.host.memory import peak
from testing.host.wait import until, until_equal
from testing.pictures import png
from testing.services.process import Service
from testing.services.processor import DROPPED, IN_HAND, IN_HAND_BYTES, RECEIVED, storing
from testing.store.fake_s3 import FakeS3
from testing.store.nanio import SECRET, Store

MEMORY_LIMIT = 80 * 1024  # kB, at the peak
SOUND = {
    "COS_ENDPOINT": "http://127.0.0.1:1",
    "COS_BUCKET": "faces",
    "COS_ACCESS_KEY_ID": "canary-id",
    "COS_SECRET_ACCESS_KEY": "canary-secret",
}


def ended(**settings: object) -> str:
    """What a processor says that has to end with exit code 2."""
    with Service("processor", **settings) as service:
        assert service.wait(10) == 2
        said: str = service.log
    assert "Traceback" not in said
    return said


def noise(count: int, side: int) -> list[bytes]:
    """Sound PNGs, all different, of about 3 x side x side bytes each."""
    random = np.random.default_rng(0)
    pixels = (random.integers(0, 256, (side, side, 3), np.uint8) for _ in range(count))
    return [cv2.imencode(".png", picture)[1].tobytes() for picture in pixels]


def test_all_that_is_wrong_with_the_settings_is_said_at_once() -> None:
    wrong = {
        "MQTT_PORT": "70000",
        "MQTT_QOS": "2",
        "KEY_TEMPLATE": "../{id}",
        "UPLOADS": "none",
        "COS_ACCESS_KEY_ID": "alone",
    }
    said = ended(**wrong)
    for name in [*wrong, "COS_ENDPOINT", "COS_BUCKET", "COS_SECRET_ACCESS_KEY"]:
        assert name in said
    assert "settings:" not in said  # no work was begun


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COS_ENDPOINT", "s3.eu-de.cloud-object-storage.appdomain.cloud"),
        ("COS_ENDPOINT", "ftp://127.0.0.1"),
        ("COS_ENDPOINT", "http://127.0.0.1:99999"),
        ("COS_ENDPOINT", "http://127.0.0.1:port"),
        ("COS_ENDPOINT", "http://my_store:9000"),
        ("COS_ENDPOINT", "http://a b"),
        ("COS_ENDPOINT", "http://[::1"),
        ("COS_ENDPOINT", "https://user:password@store"),
        ("COS_BUCKET", "two words"),
        ("COS_BUCKET", "../faces"),
        ("COS_SECRET_ACCESS_KEY", "two\nlines"),
        ("COS_API_KEY", "beside-hmac"),
        ("COS_API_KEY_FILE", "/there/is/no/such/file"),
        ("KEY_TEMPLATE", "{device}/{date}.png"),
        ("KEY_TEMPLATE", "rejected/{id}"),
        ("KEY_TEMPLATE", "a/../../{id}"),
        ("HAND_MAX_MB", "0"),
    ],
)
def test_a_setting_that_cannot_work_is_named(name: str, value: str) -> None:
    assert name in ended(**{**SOUND, name: value})


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"COS_ACCESS_KEY_ID": "nobody"}, "COS_ACCESS_KEY_ID"),
        ({"COS_SECRET_ACCESS_KEY": "wrong"}, "COS_SECRET_ACCESS_KEY does not match"),
        ({"COS_BUCKET": "not-there"}, "there is no bucket COS_BUCKET=not-there"),
    ],
)
def test_what_the_store_refuses_for_good_is_a_sentence(
    store: Store, wrong: dict[str, str], sentence: str
) -> None:
    assert sentence in ended(**{**store.settings, **wrong})


def test_no_right_to_write_is_a_sentence_and_no_secret_is_said() -> None:
    with FakeS3() as s3:
        s3.always = "denied"
        said = ended(**{**SOUND, "COS_ENDPOINT": s3.endpoint})
    assert "COS_ACCESS_KEY_ID is not allowed to write to COS_BUCKET=faces" in said
    assert "canary" not in said


def test_a_secret_may_stand_in_a_file(tmp_path: Path, store: Store) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    settings = {**store.settings, "COS_SECRET_ACCESS_KEY": "", "COS_SECRET_ACCESS_KEY_FILE": secret}
    with Service("processor", **settings) as service:
        service.says("is writable")
        assert SECRET not in service.log


def test_a_store_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with Service("processor", **store.settings) as service:
        service.says("nothing is listening at COS_ENDPOINT=.*trying again")
        report = service.health()
        assert (report["alive"], report["status"]) == (True, "degraded")
        assert report["reasons"]["bucket"] == "unreachable"
        with store:
            service.says("is writable")
            assert "bucket" not in service.health()["reasons"]


@pytest.mark.parametrize("fault", ["slow_down", "error", "hang"])
def test_it_can_be_stopped_while_it_waits_for_its_store(fault: str) -> None:
    with FakeS3() as s3:
        s3.always = fault
        with Service("processor", **s3.settings) as service:
            until(lambda: s3.failed)
            assert service.stop(8) == 0


def test_what_the_hands_cannot_hold_is_refused_and_counted(tmp_path: Path) -> None:
    with storing(tmp_path, HAND_MAX_MB=1) as (s3, service, sender):
        s3.always = "wait"
        some = noise(8, 183)  # 100 kB each
        ids = [sender.send(face) for face in some]
        until(lambda: service.metric(RECEIVED) == 8)
        assert service.metric(IN_HAND) == 5  # of one sender: as much as is left for the others
        assert service.metric(IN_HAND_BYTES) <= 1024 * 1024
        assert service.metric(DROPPED, reason="hands_full") == 3
        s3.always = ""
        s3.gate.set()
        assert [sender.receipt(id)["outcome"] for id in ids[:5]] == ["stored"] * 5
        assert not any(sender.receipts(id) for id in ids[5:])
        for face, id in zip(some[5:], ids[5:], strict=True):  # as their sender does
            sender.send(face, id)
        assert [sender.receipt(id)["outcome"] for id in ids[5:]] == ["stored"] * 3


def test_at_the_signal_to_stop_it_finishes_what_it_holds(tmp_path: Path) -> None:
    with storing(tmp_path) as (s3, service, sender):
        s3.always = "wait"
        ids = [sender.send(png(seed=seed)) for seed in range(50)]
        until(lambda: service.metric(IN_HAND) == 50)
        service.signal(signal.SIGTERM)
        service.says("SIGTERM")
        assert not any(sender.receipts(id) for id in ids)
        s3.always = ""
        s3.gate.set()
        assert service.wait(8) == 0
        assert {sender.receipt(id)["outcome"] for id in ids} == {"stored"}
        assert len(s3.faces) == 50
        assert len(s3.writes) == 51  # and the probe


def test_a_store_that_hangs_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    with storing(tmp_path) as (s3, service, sender):
        s3.always = "hang"
        ids = [sender.send(png(seed=seed)) for seed in range(30)]
        until(lambda: service.metric(IN_HAND) == 30)
        assert service.stop(8) == 0
        assert "stopping with 30 faces not stored" in service.log
        assert not any(sender.receipts(id) for id in ids)


def test_faces_in_hand_when_it_is_killed_are_stored_when_they_come_again(tmp_path: Path) -> None:
    with storing(tmp_path) as (s3, service, sender):
        s3.always = "wait"
        ids = [sender.send(png(seed=seed)) for seed in range(20)]
        until(lambda: service.metric(IN_HAND) == 20)
        service.kill()
        s3.always = ""
        s3.gate.set()
        assert not any(sender.receipts(id) for id in ids)
        settings = {"MQTT_PORT": sender.port, **s3.settings}
        with Service("processor", **settings) as after:
            after.says("cloud broker .*: connected")
            for seed, id in enumerate(ids):
                sender.send(png(seed=seed), id)
            keys = {sender.receipt(id)["key"] for id in ids}
        assert set(s3.faces) == keys
        assert sorted(s3.faces.values()) == sorted(png(seed=seed) for seed in range(20))


def test_its_memory_stays_small_with_its_hands_full(tmp_path: Path) -> None:
    with storing(tmp_path) as (s3, service, sender):
        s3.always = "wait"
        some = noise(450, 100)  # 30 kB each, 13.5 MB in all
        for face in some:
            sender.send(face)
        until(lambda: service.metric(RECEIVED) == 450)
        held = service.metric(IN_HAND)
        assert held * len(some[0]) > 5e6  # one sender may hold half of HAND_MAX_MB
        s3.always = ""
        s3.gate.set()
        until(lambda: service.metric(IN_HAND) == 0, 60)
        for stored in range(150, 2001, 150):  # a burst is within the share of one sender
            for face in some[:150]:
                sender.send(face)
            until_equal(lambda: len(s3.faces), held + stored, 60)
        assert peak(service.pid) < 1024 * MEMORY_LIMIT
