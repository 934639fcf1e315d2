"""What a store answers: whichever way was taken, a person reads the same."""

from __future__ import annotations

import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.store.s3.store_errors import parse_error
from testing.host.wait import free_port
from testing.store.canned import Canned, answer
from testing.store.fake_s3 import ANSWERS
from testing.store.s3 import WAYS, bucket, failure, xml

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
    own, sdk = (failure(way, made) for way in WAYS.values())
    assert own == sdk


@pytest.mark.parametrize("said", ODD, ids=range(len(ODD)))
def test_an_odd_answer_has_the_same_reason_whichever_way_was_taken(
    canned: Canned, said: bytes
) -> None:
    canned.reply = lambda _: said
    canned.hangs_up = {1, 2}
    made = bucket(canned.endpoint)
    own, sdk = (failure(way, made)[0] for way in WAYS.values())
    assert own == sdk


def greet(server: socket.socket) -> None:
    """Speak first, and no TLS."""
    with server.accept()[0] as connection:
        connection.sendall(b"220 hello\r\n")


@pytest.mark.parametrize("way", WAYS)
def test_a_place_where_no_store_is_has_a_sentence(way: str) -> None:
    reason, text = failure(WAYS[way], bucket(f"http://127.0.0.1:{free_port()}"))
    assert reason == "unreachable"
    assert "nothing is listening at COS_ENDPOINT=http://" in text
    with socket.create_server(("127.0.0.1", 0)) as plain:
        greeter = threading.Thread(target=greet, args=(plain,))
        greeter.start()
        reason, text = failure(WAYS[way], bucket(f"https://127.0.0.1:{plain.getsockname()[1]}"))
    assert reason == "unreachable"
    greeter.join()
    assert "no TLS with https://" in text


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 ", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"])
def test_what_is_no_answer_is_a_broken_request(canned: Canned, way: str, said: bytes) -> None:
    canned.reply = lambda _: said
    canned.hangs_up = {1, 2}
    reason, text = failure(WAYS[way], bucket(canned.endpoint))
    assert reason == "unreachable"
    assert "the request was cut short: " in text


@given(st.integers(100, 599), st.binary(max_size=300))
def test_any_body_of_an_error_is_understood_or_not(status: int, body: bytes) -> None:
    assert parse_error(status, {}, body).status == status
    assert parse_error(status, {}, b"<Error><Code>" + body).status == status
