"""A PUT past the SDK is the SDK's in all that a store sees of it."""

from __future__ import annotations

import re

import pytest

from common.store.base import StoreError
from testing.pictures import png
from testing.store.canned import DONE, Canned, answer
from testing.store.fake_s3 import FakeS3
from testing.store.iam import API_KEY, Iam
from testing.store.nanio import Store
from testing.store.objects import new
from testing.store.s3 import KEYS, WAYS, bucket, failure, xml


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("path", ["", "/", "/below"])
def test_the_request_is_that_of_the_sdk(canned: Canned, key: str, path: str) -> None:
    made = bucket(canned.endpoint + path)
    face = new(key, png(), device="box-1", note="two  blanks", camera="cam-1")
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
    made.put(new(key, png(), device="box-1", note="two  blanks"))
    assert store.objects()[key] == png()
    facts = {"device": "box-1", "content_type": "image/png"}
    assert facts.items() <= store.metadata(key).items()


def test_with_an_api_key_it_bears_a_token_and_a_new_one_when_that_is_not_taken() -> None:
    with Iam() as iam, FakeS3() as s3:
        keys = {"COS_ACCESS_KEY_ID": "", "COS_SECRET_ACCESS_KEY": "", "COS_API_KEY": API_KEY}
        made = bucket(s3.endpoint, COS_AUTH_ENDPOINT=iam.url, **keys)
        s3.takes = iam.knows
        made.put(new())
        iam.revoke()
        with pytest.raises(StoreError, match="COS_API_KEY is not allowed to write to") as raised:
            made.put(new())
        assert raised.value.reason == "denied"
        made.put(new())
        assert len(iam.issued) == 2


@pytest.mark.parametrize("value", ["two\nlines", "two\rlines", "two\r\nx: y", "smile \u263a", "\0"])
def test_what_is_no_header_is_refused_and_not_sent(canned: Canned, value: str) -> None:
    with pytest.raises(StoreError) as raised:
        bucket(canned.endpoint).put(new(note=value))
    assert raised.value.reason == "refused"
    assert canned.asked == []


def test_an_answer_that_comes_in_pieces_is_one(canned: Canned) -> None:
    canned.piecewise = True
    made = bucket(canned.endpoint)
    made.put(new())
    canned.reply = lambda _: answer("503 x", xml("SlowDown"))
    assert failure(WAYS["own"], made)[0] == "slow_down"
    canned.reply = lambda _: b"HTTP/1.1 100 Continue\r\n\r\n" + DONE
    made.put(new())
    assert canned.connections == 1


def test_an_endless_answer_is_cut_off(canned: Canned) -> None:
    canned.reply = lambda _: answer("503 x", xml("SlowDown") + bytes(10_000_000))
    made = bucket(canned.endpoint)
    assert failure(WAYS["own"], made)[0] == "slow_down"
    canned.reply = lambda _: DONE
    made.put(new())
    assert canned.connections == 2


def test_one_connection_serves_one_request_after_the_other(canned: Canned) -> None:
    made = bucket(canned.endpoint)
    for number in range(5):
        made.put(new(f"key-{number}", png(seed=number)))
    canned.reply = lambda _: answer("500 x", xml("InternalError"))
    assert failure(WAYS["own"], made)[0] == "server"
    canned.reply = lambda _: DONE
    made.put(new())
    assert canned.connections == 1


def test_a_kept_connection_that_has_ended_costs_no_failure(canned: Canned) -> None:
    made = bucket(canned.endpoint)
    canned.hangs_up = {1, 2}
    for number in (1, 2, 3):
        made.put(new())
        if number in canned.hangs_up:
            assert canned.gone.acquire(timeout=10)
    assert len(canned.asked) == 3
    assert canned.connections == 3


def test_a_kept_connection_that_ends_under_a_request_is_asked_once_more(canned: Canned) -> None:
    made = bucket(canned.endpoint)
    made.put(new())
    canned.reply = lambda asked: DONE if asked.connection else b""
    made.put(new("again"))
    assert [asked.connection for asked in canned.asked] == [0, 0, 1]
    assert canned.asked[1].body == canned.asked[2].body
    canned.reply = lambda _: b""
    assert failure(WAYS["own"], made)[0] == "unreachable"
    assert len(canned.asked) == 5


def test_a_connection_that_the_store_means_to_close_is_not_used_again(canned: Canned) -> None:
    made = bucket(canned.endpoint)
    canned.reply = lambda _: DONE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    made.put(new())
    made.put(new())
    assert [asked.connection for asked in canned.asked] == [0, 1]
