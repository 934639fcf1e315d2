"""The processor with an IAM API key: tokens that expire, and a token service that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from testing.host.wait import until
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.sender import Sender
from testing.network.proxy import Proxy
from testing.pictures import png
from testing.services.process import Service
from testing.store.fake_s3 import FakeS3
from testing.store.iam import API_KEY, Iam
from testing.store.nanio import BUCKET


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as mosquitto:
        yield mosquitto


@pytest.fixture
def s3() -> Iterator[FakeS3]:
    with FakeS3() as server:
        yield server


def processor(broker: Mosquitto, s3: FakeS3, url: str = "", **changed: str) -> Service:
    settings = {
        "MQTT_PORT": broker.port,
        "COS_ENDPOINT": s3.endpoint,
        "COS_BUCKET": BUCKET,
        "COS_API_KEY": API_KEY,
        "COS_AUTH_ENDPOINT": url,
        **changed,
    }
    return Service("processor", **settings)


@contextmanager
def storing(broker: Mosquitto, s3: FakeS3, life: float) -> Iterator[tuple[Iam, Sender, Service]]:
    """A processor at work, whose tokens live for so many seconds."""
    with Iam(life) as iam, processor(broker, s3, iam.url) as service:
        s3.takes = iam.knows
        service.says("cloud broker .*: connected")
        with Sender(broker.port) as sender:
            yield iam, sender, service


def test_tokens_are_refreshed_before_they_expire(broker: Mosquitto, s3: FakeS3) -> None:
    with storing(broker, s3, life=1.5) as (iam, sender, _):
        while len(iam.issued) < 4:
            assert sender.receipt(sender.send(png()))["outcome"] == "stored"
        assert s3.failed == []
        assert len(s3.writes) == len(set(s3.writes))


def test_a_token_that_the_store_does_not_take_any_more_is_replaced(
    broker: Mosquitto, s3: FakeS3
) -> None:
    with storing(broker, s3, life=3600) as (iam, sender, _):
        sender.receipt(sender.send(png()))
        iam.revoke()
        ids = [sender.send(png(seed=seed)) for seed in range(20)]
        assert {sender.receipt(id)["outcome"] for id in ids} == {"stored"}
        assert set(s3.failed) == {"denied"}
        assert len(s3.faces) == 21


@pytest.mark.parametrize("mode", ["error", "html", "hang"])
def test_while_no_token_can_be_had_faces_wait_and_none_is_lost(
    broker: Mosquitto, s3: FakeS3, mode: str
) -> None:
    with storing(broker, s3, life=1.0) as (iam, sender, service):
        iam.mode = mode
        token = list(iam.issued)[-1]
        until(lambda: not iam.knows(token), what="the token expires")
        ids = [sender.send(png(seed=seed)) for seed in range(20)]
        until(lambda: service.health()["reasons"].get("bucket") == "token", what="degraded")
        assert s3.faces == {}
        assert not any(sender.receipts(id) for id in ids)
        iam.life, iam.mode = 3600, "pass"
        assert {sender.receipt(id, 30)["outcome"] for id in ids} == {"stored"}
        assert s3.failed == []  # not one request went out without a token


@pytest.mark.parametrize("mode", ["error", "html", "hang"])
def test_a_token_service_that_fails_at_the_start_is_waited_for(
    broker: Mosquitto, s3: FakeS3, mode: str
) -> None:
    with Iam() as iam:
        iam.mode = mode
        with processor(broker, s3, iam.url) as service:
            service.says("token.*trying again")
            assert service.health()["reasons"]["bucket"] == "token"
            iam.mode = "pass"
            service.says("cloud broker .*: connected")
            assert service.health()["status"] == "well"


def test_a_token_service_that_is_absent_at_the_start_is_waited_for(
    broker: Mosquitto, s3: FakeS3
) -> None:
    with Iam() as iam, Proxy(iam.port) as link:
        link.refuse()
        with processor(broker, s3, f"http://127.0.0.1:{link.port}/") as service:
            service.says("no token from .*trying again")
            assert service.health()["status"] == "degraded"
            link.mode = "pass"
            service.says("cloud broker .*: connected")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"COS_API_KEY": "nobodys"}, "IAM does not accept COS_API_KEY: Provided API key could"),
        ({"COS_BUCKET": "not-there"}, "there is no bucket COS_BUCKET=not-there"),
        ({}, "COS_API_KEY is not allowed to write to COS_BUCKET=faces"),
    ],
)
def test_what_only_a_person_can_mend_ends_it_with_a_sentence(
    broker: Mosquitto, s3: FakeS3, settings: dict[str, str], sentence: str
) -> None:
    s3.takes = lambda _: bool(settings)
    with Iam() as iam, processor(broker, s3, iam.url, **settings) as service:
        assert service.wait() == 2
        assert sentence in service.log
        assert "Traceback" not in service.log
        assert settings.get("COS_API_KEY", API_KEY) not in service.log


@pytest.mark.parametrize("name", ["COS_ENDPOINT", "COS_AUTH_ENDPOINT"])
def test_a_key_or_token_is_never_sent_in_the_open(broker: Mosquitto, s3: FakeS3, name: str) -> None:
    settings = {"COS_AUTH_ENDPOINT": "https://127.0.0.1/", name: "http://iam.example/"}
    with processor(broker, s3, **settings) as service:
        assert service.wait() == 2
        assert f"{name} must be https" in service.log
