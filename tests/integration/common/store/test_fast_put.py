"""A PUT past the SDK is the SDK's in all that a store, or a person, sees of it."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibm_botocore.auth import S3SigV4Auth
from ibm_botocore.awsrequest import AWSRequest
from ibm_botocore.credentials import Credentials

from common.settings import read
from common.store.base import NewObject, Observer, StoreError
from common.store.s3.signature import Signer
from common.store.s3.store import S3Store
from common.store.s3.store_errors import parse_error
from processor.settings import ProcessorSettings
from testing.host.wait import free_port
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.sender import Sender
from testing.network.pki import Authority
from testing.pictures import png
from testing.services.process import Service
from testing.store.canned import DONE, Asked, Canned, answer
from testing.store.fake_s3 import ANSWERS, FakeS3
from testing.store.iam import API_KEY, Iam
from testing.store.nanio import BUCKET, KEY_ID, SECRET, Store

KEYS = [
    "box-1/cam-1/2026-03-01/face_1772409599123_0123abcd.png",
    "a b/ü+~ (1)/'!*=@,&$:;%41?.png",
    "one//two/./..three",
]
HMAC = {"COS_BUCKET": BUCKET, "COS_ACCESS_KEY_ID": KEY_ID, "COS_SECRET_ACCESS_KEY": SECRET}
Way = Callable[[S3Store], Callable[[NewObject], None]]
WAYS: dict[str, Way] = {"own": lambda bucket: bucket.put, "sdk": lambda bucket: bucket.put_by_sdk}


_BUCKETS: list[S3Store] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _BUCKETS:
        _BUCKETS.pop().close()


def bucket(endpoint: str, **changed: str) -> S3Store:
    _BUCKETS.append(
        S3Store(
            read(ProcessorSettings, {**HMAC, "COS_ENDPOINT": endpoint, **changed}).store_options(
                16
            ),
            Observer(),
        )
    )
    return _BUCKETS[-1]


def thing(key: str = KEYS[0], body: bytes = b"some bytes", **metadata: str) -> NewObject:
    return NewObject(key, body, "image/png", metadata, hashlib.sha256(body).hexdigest())


@pytest.fixture
def canned() -> Iterator[Canned]:
    with Canned() as server:
        yield server


# Signatures. Examples from "Signature Calculations in AWS Signature Version 4", Amazon S3 API
# Reference.

EXAMPLE = Signer("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")


@pytest.mark.parametrize(
    ("method", "path", "headers", "signature"),
    [
        (
            "PUT",
            "/test%24file.text",
            {
                "date": "Fri, 24 May 2013 00:00:00 GMT",
                "host": "examplebucket.s3.amazonaws.com",
                "x-amz-content-sha256": hashlib.sha256(b"Welcome to Amazon S3.").hexdigest(),
                "x-amz-date": "20130524T000000Z",
                "x-amz-storage-class": "REDUCED_REDUNDANCY",
            },
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/test.txt",
            {
                "host": "examplebucket.s3.amazonaws.com",
                "range": "bytes=0-9",
                "x-amz-content-sha256": hashlib.sha256(b"").hexdigest(),
                "x-amz-date": "20130524T000000Z",
            },
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
    ],
)
def test_a_signature_is_that_of_the_documentation(
    method: str, path: str, headers: dict[str, str], signature: str
) -> None:
    said = EXAMPLE.authorization(method, path, headers)
    scope = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
    names = ";".join(headers)
    assert said == (
        f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"
    )


WORD = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")
@settings(deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1), min_size=1),
    st.dictionaries(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True), WORD),
)
def test_a_signature_is_that_of_the_sdk(names: list[str], metadata: dict[str, str]) -> None:
    with Canned() as server:
        own = bucket(server.endpoint)
        body = "/".join(names).encode()
        own.put(thing("/".join(names), body, **metadata))
    asked = server.asked[0]
    signed = re.search(r"SignedHeaders=([^,]+)", asked.headers["authorization"])
    assert signed is not None
    # The very request that came, signed by the SDK at the moment that it names.
    request = AWSRequest(
        "PUT",
        server.endpoint + asked.line.split()[1],
        {name: asked.headers[name] for name in signed[1].split(";")},
        asked.body,
    )
    request.context["timestamp"] = asked.headers["x-amz-date"]
    signer = S3SigV4Auth(Credentials(KEY_ID, SECRET), "s3", "us-east-1")
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signature = signer.signature(text, request)
    assert asked.headers["authorization"].endswith(f"Signature={signature}")


# What is sent.


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("path", ["", "/", "/below"])
def test_the_request_is_that_of_the_sdk(canned: Canned, key: str, path: str) -> None:
    made = bucket(canned.endpoint + path)
    face = thing(key, png(), device="box-1", note="two  blanks", camera="cam-1")
    for way in WAYS.values():
        way(made)(face)
    own, sdk = canned.asked
    assert own.line == sdk.line
    assert own.body == sdk.body == png()
    apart = {"amz-sdk-invocation-id", "amz-sdk-request", "expect"}
    vary = {"authorization", "user-agent", "x-amz-date"}
    assert own.headers.keys() == sdk.headers.keys() - apart
    for name in own.headers.keys() - vary:
        assert own.headers[name] == sdk.headers[name]
    signed = [re.sub(r"\d{8}/|Signature=.*", "", a.headers["authorization"]) for a in (own, sdk)]
    assert signed[0] == signed[1]


@pytest.mark.parametrize("key", [KEYS[0], "a b/ü+~ (1)/'!*=@,&$:;.png"])
def test_a_store_that_checks_signatures_takes_it(store: Store, key: str) -> None:
    made = bucket(store.settings["COS_ENDPOINT"])
    made.put(thing(key, png(), device="box-1", note="two  blanks"))
    assert store.objects()[key] == png()
    facts = {"device": "box-1", "content_type": "image/png"}
    assert facts.items() <= store.metadata(key).items()


def test_with_an_api_key_it_bears_a_token_and_a_new_one_when_that_is_not_taken() -> None:
    with Iam() as iam, FakeS3() as s3:
        keys = {"COS_ACCESS_KEY_ID": "", "COS_SECRET_ACCESS_KEY": "", "COS_API_KEY": API_KEY}
        made = bucket(s3.endpoint, COS_AUTH_ENDPOINT=iam.url, **keys)
        s3.takes = iam.knows
        made.put(thing())
        iam.revoke()
        with pytest.raises(StoreError, match="COS_API_KEY has no right to write to") as raised:
            made.put(thing())
        assert raised.value.reason == "denied"
        made.put(thing())
        assert len(iam.issued) == 2


@pytest.mark.parametrize("value", ["two\nlines", "two\rlines", "two\r\nx: y", "smile \u263a", "\0"])
def test_what_is_no_header_is_refused_and_not_sent(canned: Canned, value: str) -> None:
    with pytest.raises(StoreError) as raised:
        bucket(canned.endpoint).put(thing(note=value))
    assert raised.value.reason == "refused"
    assert canned.asked == []


# What is answered.


def told(way: Way, made: S3Store) -> tuple[str, str]:
    with pytest.raises(StoreError) as raised:
        way(made)(thing())
    return raised.value.reason, str(raised.value)


def xml(code: str, message: str = "as &lt;told&gt;") -> bytes:
    start = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    return f"{start}<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


SAID = [answer(f"{status} x", xml(code)) for status, code in ANSWERS.values() if code]
SAID += [
    answer("403 x", xml("SignatureDoesNotMatch")),
    answer("403 x", xml("RequestTimeTooSkewed")),
    answer("400 x", xml("XAmzContentSHA256Mismatch")),
    answer("400 x", xml("RequestTimeout")),
    answer("400 x", xml("AnythingElse")),
    answer("503 x", b""),
    answer("403 x", b""),
    answer("502 Bad Gateway", b"<html><body><h1>502</h1></body></html>"),
    answer("413 x", b"<!doctype html><p>too large<br>"),
    answer("404 x", b'{"errors": []}'),
    answer("200 OK"),
    answer("200 OK", b"<html>a captive portal</html>"),
    b"HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbusy\r\n0\r\n\r\n",
]
# What the SDK makes odd sentences of.
ODD = [
    answer("400 x", xml("AnythingElse", "")),
    answer("400 x", xml("MetadataTooLarge")[:-30]),
    answer("503 x", b"<busy/>"),
    b"HTTP/1.1 200 OK\r\nContent-Le",
]


@pytest.mark.parametrize("said", SAID, ids=range(len(SAID)))
def test_an_answer_says_the_same_whichever_way_was_taken(canned: Canned, said: bytes) -> None:
    canned.reply = lambda _: said
    made = bucket(canned.endpoint)
    own, sdk = (told(way, made) for way in WAYS.values())
    assert own == sdk


@pytest.mark.parametrize("said", ODD, ids=range(len(ODD)))
def test_an_odd_answer_has_the_same_reason_whichever_way_was_taken(
    canned: Canned, said: bytes
) -> None:
    canned.reply = lambda _: said
    canned.hangs_up = {1, 2}
    made = bucket(canned.endpoint)
    own, sdk = (told(way, made)[0] for way in WAYS.values())
    assert own == sdk


def greet(server: socket.socket) -> None:
    """Speak first, and no TLS."""
    with server.accept()[0] as connection:
        connection.sendall(b"220 hello\r\n")


@pytest.mark.parametrize("way", WAYS)
def test_a_place_where_no_store_is_has_a_sentence(way: str) -> None:
    reason, text = told(WAYS[way], bucket(f"http://127.0.0.1:{free_port()}"))
    assert reason == "unreachable"
    assert "nothing listens at COS_ENDPOINT=http://" in text
    with socket.create_server(("127.0.0.1", 0)) as plain:
        greeter = threading.Thread(target=greet, args=(plain,))
        greeter.start()
        reason, text = told(WAYS[way], bucket(f"https://127.0.0.1:{plain.getsockname()[1]}"))
    assert reason == "unreachable"
    greeter.join()
    assert "no TLS with https://" in text


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 ", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"])
def test_what_is_no_answer_is_a_broken_request(canned: Canned, way: str, said: bytes) -> None:
    canned.reply = lambda _: said
    canned.hangs_up = {1, 2}
    reason, text = told(WAYS[way], bucket(canned.endpoint))
    assert reason == "unreachable"
    assert "the request broke: " in text


@given(st.integers(100, 599), st.binary(max_size=300))
def test_any_body_of_an_error_is_understood_or_not(status: int, body: bytes) -> None:
    assert parse_error(status, {}, body).status == status
    assert parse_error(status, {}, b"<Error><Code>" + body).status == status


def test_an_answer_that_comes_in_pieces_is_one(canned: Canned) -> None:
    canned.piecewise = True
    made = bucket(canned.endpoint)
    made.put(thing())
    canned.reply = lambda _: answer("503 x", xml("SlowDown"))
    assert told(WAYS["own"], made)[0] == "slow_down"
    canned.reply = lambda _: b"HTTP/1.1 100 Continue\r\n\r\n" + DONE
    made.put(thing())
    assert canned.connections == 1


def test_an_endless_answer_is_cut_off(canned: Canned) -> None:
    canned.reply = lambda _: answer("503 x", xml("SlowDown") + bytes(10_000_000))
    made = bucket(canned.endpoint)
    assert told(WAYS["own"], made)[0] == "slow_down"
    canned.reply = lambda _: DONE
    made.put(thing())
    assert canned.connections == 2


# Connections.


def test_one_connection_serves_one_request_after_the_other(canned: Canned) -> None:
    made = bucket(canned.endpoint)
    for number in range(5):
        made.put(thing(f"key-{number}", png(seed=number)))
    canned.reply = lambda _: answer("500 x", xml("InternalError"))
    assert told(WAYS["own"], made)[0] == "server"
    canned.reply = lambda _: DONE
    made.put(thing())
    assert canned.connections == 1


def test_a_kept_connection_that_has_ended_costs_no_failure(canned: Canned) -> None:
    made = bucket(canned.endpoint)
    canned.hangs_up = {1, 2}
    for number in (1, 2, 3):
        made.put(thing())
        if number in canned.hangs_up:
            assert canned.gone.acquire(timeout=10)
    assert len(canned.asked) == 3
    assert canned.connections == 3


def test_a_kept_connection_that_ends_under_a_request_is_asked_once_more(canned: Canned) -> None:
    made = bucket(canned.endpoint)
    made.put(thing())
    canned.reply = lambda asked: DONE if asked.connection else b""
    made.put(thing("again"))
    assert [asked.connection for asked in canned.asked] == [0, 0, 1]
    assert canned.asked[1].body == canned.asked[2].body
    canned.reply = lambda _: b""
    assert told(WAYS["own"], made)[0] == "unreachable"
    assert len(canned.asked) == 5


def test_a_connection_that_the_store_means_to_close_is_not_used_again(canned: Canned) -> None:
    made = bucket(canned.endpoint)
    canned.reply = lambda _: DONE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    made.put(thing())
    made.put(thing())
    assert [asked.connection for asked in canned.asked] == [0, 1]


# TLS, proxies, and stores that take the SDK's requests only.


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
def test_a_store_whose_authority_is_not_trusted_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    authority, other = Authority(tmp_path / "one"), Authority(tmp_path / "other")
    with FakeS3(serving(authority)) as s3:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(other.ca))
        reason, text = told(WAYS[way], bucket(s3.endpoint))
        assert reason == "unreachable"
        assert "certificate verify failed" in text
        monkeypatch.delenv("AWS_CA_BUNDLE")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.ca))
        WAYS[way](bucket(s3.endpoint))(thing())
        assert len(s3.objects) == 1


def test_with_a_proxy_between_the_sdk_goes_by_it(
    canned: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", canned.endpoint)
    made = bucket("http://store.invalid")
    made.probe()
    made.put(thing())
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
    assert "PUTs go by the SDK, which is slower" in caplog.text
    made.put(thing())
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
