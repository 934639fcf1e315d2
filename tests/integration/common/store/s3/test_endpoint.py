"""TLS, proxies, and stores that take the SDK's requests only."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from common.store.base import StoreError
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.sender import Sender
from testing.network.pki import Authority
from testing.pictures import png
from testing.services.process import Service
from testing.store.canned import DONE, Asked, Canned, answer
from testing.store.fake_s3 import FakeS3
from testing.store.nanio import BUCKET
from testing.store.objects import new
from testing.store.s3 import WAYS, bucket, failure, xml


def serving(authority: Authority) -> ssl.SSLContext:
    server = authority.issue("store", host="127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.cert, server.key)
    return context


def test_faces_go_over_tls_to_a_store_whose_authority_is_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    with (
        Mosquitto(tmp_path) as broker,
        FakeS3(serving(authority)) as s3,
        Service(
            "processor", MQTT_PORT=broker.port, AWS_CA_BUNDLE=authority.ca, **s3.settings
        ) as service,
        Sender(broker.port) as sender,
    ):
        service.says("cloud broker .*: connected")
        ids = [sender.send(png(400, 400, seed)) for seed in range(20)]
        assert {sender.receipt(id)["outcome"] for id in ids} == {"stored"}
        assert len(s3.faces) == 20
        assert "the SDK" not in service.log


@pytest.mark.parametrize("way", WAYS)
def test_a_store_whose_authority_is_not_trusted_gets_nonew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    authority, other = Authority(tmp_path / "one"), Authority(tmp_path / "other")
    with FakeS3(serving(authority)) as s3:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(other.ca))
        reason, text = failure(WAYS[way], bucket(s3.endpoint))
        assert reason == "unreachable"
        assert "certificate verify failed" in text
        monkeypatch.delenv("AWS_CA_BUNDLE")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca))
        WAYS[way](bucket(s3.endpoint))(new())
        assert len(s3.objects) == 1


def test_with_a_proxy_between_the_sdk_goes_by_it(
    canned: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", canned.endpoint)
    made = bucket("http://store.invalid")
    made.probe()
    made.put(new())
    assert canned.asked[-1].line.startswith(f"PUT http://store.invalid/{BUCKET}/box-1/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,.invalid")
    assert not bucket("http://store.invalid").puts_by_sdk


def test_a_store_that_takes_the_sdks_requests_only_gets_those(
    canned: Canned, caplog: pytest.LogCaptureFixture
) -> None:
    def reply(asked: Asked) -> bytes:
        own = asked.headers["user-agent"].startswith("facepipe/")
        return answer("403 x", xml("SignatureDoesNotMatch")) if own else DONE

    canned.reply = reply
    made = bucket(canned.endpoint)
    made.probe()
    assert "using the SDK for PUT requests, which is slower" in caplog.text
    made.put(new())
    assert "ibm-cos-sdk" in canned.asked[-1].headers["user-agent"]


@pytest.mark.parametrize("fault", ["denied", "no_bucket", "no_etag"])
def test_a_store_that_takes_neither_is_said_to_be_at_fault(fault: str) -> None:
    with FakeS3() as s3:
        s3.always = fault
        made = bucket(s3.endpoint)
        with pytest.raises(StoreError):
            made.probe()
        s3.always = ""
        made.probe()
        assert not made.puts_by_sdk
