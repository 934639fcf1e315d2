"""Stores that want requests otherwise: of a region, at another address, with another checksum.

Each is played before nanio, which checks the signature of what comes through.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable

import pytest

from common.store.base import StoreError
from testing.host.wait import free_port, until
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.sender import Sender
from testing.pictures import png
from testing.services.process import Service
from testing.store.canned import DONE, Asked, Canned, answer, forward
from testing.store.moto import Moto
from testing.store.nanio import BUCKET, Store, reached_at
from testing.store.objects import new
from testing.store.s3 import WAYS, bucket, failure, xml

Reply = Callable[[Asked], bytes]


def port_of(store: Store) -> int:
    return int(store.settings["COS_ENDPOINT"].rpartition(":")[2])


def region_of(asked: Asked) -> str:
    found = re.search(r"Credential=[^/]+/\d+/([^/]+)/s3/", asked.headers["authorization"])
    assert found is not None
    return found[1]


# Regions.


def wrong_region(status: str, code: str, by_header: bool) -> Callable[[Asked], bytes]:
    def reply(asked: Asked) -> bytes:
        head = asked.line.startswith("HEAD ")
        element = "" if by_header else "<Region>garage</Region>"
        body = f"<Error><Code>{code}</Code><Message>no</Message>{element}</Error>".encode()
        header = "x-amz-bucket-region: garage\r\n" if by_header or head else ""
        return answer(status, b"" if head else body, header)

    return reply


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "refuse",
    [
        wrong_region("400 Bad Request", "AuthorizationHeaderMalformed", by_header=False),
        wrong_region("400 Bad Request", "AuthorizationHeaderMalformed", by_header=True),
        wrong_region("301 Moved Permanently", "PermanentRedirect", by_header=True),
    ],
    ids=["by its body", "by a header", "by a redirect"],
)
def test_a_region_that_the_store_names_is_used_from_then_on(
    canned: Canned, store: Store, refuse: Reply, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    canned.reply = lambda asked: (
        forward(asked, port_of(store)) if region_of(asked) == "garage" else refuse(asked)
    )
    made = bucket(canned.endpoint)
    for number in range(3):
        WAYS[way](made)(new(f"a/{number}.png", png(seed=number)))
        assert store.objects()[f"a/{number}.png"] == png(seed=number)
    assert [region_of(asked) for asked in canned.asked].count("us-east-1") == 1
    assert [one.key for page in made.pages("a/") for one in page] == [
        f"a/{n}.png" for n in (0, 1, 2)
    ]
    assert made.get("a/1.png").read() == png(seed=1)
    assert made.head("a/1.png") == {}
    assert made.delete(["a/1.png"]) == {}
    assert caplog.text.count("set COS_REGION to it") == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_region_that_is_set_is_used_at_once(canned: Canned, store: Store, way: str) -> None:
    canned.reply = lambda asked: forward(asked, port_of(store))
    made = bucket(canned.endpoint, COS_REGION="eu-central-2")
    WAYS[way](made)(new())
    list(made.pages())
    assert {region_of(asked) for asked in canned.asked} == {"eu-central-2"}


@pytest.mark.parametrize("region", ["us-east-1", "eu\nx-y: z", "a b", ""])
@pytest.mark.parametrize("way", WAYS)
def test_a_region_that_is_no_help_is_a_sentence(canned: Canned, region: str, way: str) -> None:
    body = f"<Error><Code>AuthorizationHeaderMalformed</Code><Region>{region}</Region></Error>"
    canned.reply = lambda _: answer("400 x", body.encode())
    reason, text = failure(WAYS[way], bucket(canned.endpoint))
    assert reason == "not_s3"
    assert "COS_REGION is not the region of COS_ENDPOINT=http://127" in text


# Redirects.


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("element", "header"),
    [
        (f"<Endpoint>{BUCKET}.s3.eu-west-1.example</Endpoint>", ""),
        ("<Endpoint>s3.eu-west-1.example</Endpoint>", ""),
        ("", f"Location: http://s3.eu-west-1.example/{BUCKET}/a.png\r\n"),
    ],
)
def test_a_bucket_that_is_elsewhere_is_said_to_be_where(
    canned: Canned, way: str, element: str, header: str
) -> None:
    body = f"<Error><Code>PermanentRedirect</Code><Message>no</Message>{element}</Error>".encode()
    canned.reply = lambda _: answer("301 x", body, header)
    made = bucket(canned.endpoint)
    reason, text = failure(WAYS[way], made)
    assert reason == "not_s3"
    assert (
        f"COS_BUCKET={BUCKET} is elsewhere: set COS_ENDPOINT=http://s3.eu-west-1.example;" in text
    )
    with pytest.raises(StoreError, match=r"set COS_ENDPOINT=http://s3\.eu-west-1\.example;"):
        made.check()


@pytest.mark.parametrize("way", WAYS)
def test_a_redirect_for_a_while_is_not_followed_and_is_the_stores_fault(
    canned: Canned, way: str
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    where = f"Location: {nobody}/{BUCKET}/a.png\r\n"
    canned.reply = lambda _: answer("307 x", xml("TemporaryRedirect"), where)
    made = bucket(canned.endpoint)
    reason, text = failure(WAYS[way], made)
    assert reason == "server"
    assert f"redirects to {nobody}/{BUCKET}/a.png for now; the store says 307" in text
    for ask in (made.check, lambda: made.get("a"), lambda: made.head("a")):
        with pytest.raises(StoreError) as caught:
            ask()
        assert caught.value.reason == "server"


def test_the_processor_waits_for_the_end_of_a_redirect(
    canned: Canned, tmp_path_factory: pytest.TempPathFactory
) -> None:
    where = f"Location: http://127.0.0.1:{free_port()}/\r\n"
    canned.reply = lambda _: answer("307 x", xml("TemporaryRedirect"), where)
    with (
        Mosquitto(tmp_path_factory.mktemp("broker")) as broker,
        Service("processor", MQTT_PORT=broker.port, **reached_at(canned.endpoint)) as service,
        Sender(broker.port) as sender,
    ):
        until(lambda: len(canned.asked) >= 2)
        assert service.health()["reasons"]["bucket"] == "server"
        canned.reply = lambda asked: DONE if asked.line.startswith("PUT ") else answer("404 x")
        service.says("cloud broker .*: connected")
        assert sender.receipt(sender.send(png()))["outcome"] == "stored"
        assert "Traceback" not in service.log


# Checksums.


def md5_only(status: str, body: bytes, port: int) -> Reply:
    def reply(asked: Asked) -> bytes:
        if [name for name in asked.headers if name.startswith("x-amz-checksum-")]:
            return answer(status, body)
        if asked.body:
            digest = hashlib.md5(asked.body).digest()
            assert asked.headers["content-md5"] == base64.b64encode(digest).decode()
        return forward(asked, port)

    return reply


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("501 x", xml("NotImplemented", "A header you provided implies functionality")),
        ("501 Not Implemented", b"<html>no</html>"),
        ("400 x", xml("InvalidArgument")),
        ("400 x", xml("AnythingElse", "Unsupported checksum algorithm")),
        ("400 Bad Request", b""),
    ],
)
def test_a_store_that_knows_no_new_checksum_is_given_the_old_one(
    canned: Canned,
    store: Store,
    caplog: pytest.LogCaptureFixture,
    status: str,
    body: bytes,
    way: str,
) -> None:
    canned.reply = md5_only(status, body, port_of(store))
    made = bucket(canned.endpoint)
    for number in range(3):
        WAYS[way](made)(new(f"a/{number}.png", png(seed=number), device="box-1"))
        assert store.objects()[f"a/{number}.png"] == png(seed=number)
    assert len(canned.asked) == 4
    assert made.delete(["a/1.png"]) == {}
    assert caplog.text.count("from now on, requests carry Content-MD5") == 1


def test_a_deletion_is_given_the_old_checksum_too(canned: Canned, store: Store) -> None:
    bucket(store.settings["COS_ENDPOINT"]).put(new("a.png"))
    canned.reply = md5_only("501 x", xml("NotImplemented"), port_of(store))
    assert bucket(canned.endpoint).delete(["a.png"]) == {}
    assert store.objects() == {}


def test_a_lifecycle_is_given_the_old_checksum_too(canned: Canned) -> None:
    with Moto() as moto:
        canned.reply = md5_only("501 x", xml("NotImplemented"), moto.port)
        made = bucket(canned.endpoint)
        for days in (30, 7):
            assert made.expire_after(days)
            assert [rule["Expiration"]["Days"] for rule in moto.rules()] == [days]


@pytest.mark.parametrize("way", WAYS)
def test_what_the_old_checksum_does_not_mend_changes_nonew(canned: Canned, way: str) -> None:
    canned.reply = lambda _: answer("501 x", xml("NotImplemented"))
    made = bucket(canned.endpoint)
    reason, text = failure(WAYS[way], made)
    assert reason == "not_s3"
    assert "501 NotImplemented" in text
    canned.reply = lambda _: DONE
    WAYS[way](made)(new())
    assert "x-amz-checksum-sha256" in canned.asked[-1].headers
