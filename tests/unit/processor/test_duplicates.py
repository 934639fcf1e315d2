"""A face that comes several times is stored once, whichever threads have its copies in hand."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from common.protocol.receipt import Receipt
from processor.duplicates import REMEMBERED, Duplicates, FaceKey

NAME: FaceKey = (b"0123abcd", "0" * 64)
STORED = Receipt("0123abcd", NAME[1], "stored", "a key", None)


def test_of_threads_that_claim_a_face_at_the_same_time_one_gets_it() -> None:
    copies, ready = Duplicates(), threading.Barrier(8)

    def claim(_: int) -> bool:
        ready.wait()
        return copies.claim(NAME)

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(claim, range(8))) == [False] * 7 + [True]
    assert copies.receipt(NAME) is None


def test_a_face_that_was_let_go_may_be_claimed_again_and_one_that_was_answered_may_not() -> None:
    copies = Duplicates()
    assert copies.claim(NAME)
    copies.release(NAME, None)
    assert copies.claim(NAME)
    copies.release(NAME, STORED)
    assert not copies.claim(NAME)
    assert copies.receipt(NAME) == STORED


def test_the_same_id_with_other_bytes_is_another_face() -> None:
    copies = Duplicates()
    assert copies.claim(NAME)
    assert copies.claim((NAME[0], "1" * 64))


def test_without_an_id_each_message_is_a_face_of_its_own() -> None:
    copies = Duplicates()
    assert copies.claim(None)
    assert copies.claim(None)
    copies.release(None, STORED)
    assert copies.receipt(None) is None


def test_the_eldest_answers_are_forgotten() -> None:
    copies = Duplicates()
    for number in range(REMEMBERED + 1):
        name = (b"%d" % number, "")
        assert copies.claim(name)
        copies.release(name, STORED)
    assert copies.claim((b"0", ""))
    assert not copies.claim((b"1", ""))
