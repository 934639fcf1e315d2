"""The books balance after any entries, and are the same when they have been kept and loaded."""

from __future__ import annotations

import json
import threading
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from detector.outbox.accounting import (
    REASONS_MAX,
    Accounts,
    Event,
    capture,
    confirm,
    drop,
    receive,
    reject,
    send,
)

FATES: list[Event] = [confirm, send, reject("not_png"), drop("full"), drop("old", 3)]
ENTRIES = st.lists(st.sampled_from([capture, receive(1.5, 0.02), *FATES]), max_size=40)


def balance(facts: dict[str, Any]) -> bool:
    fates = facts["confirmed"] + facts["sent"] + facts["waiting"]
    fates += sum(facts["rejected"].values()) + sum(facts["dropped"].values())
    return bool(facts["captured"] == fates)


@given(entries=ENTRIES)
def test_books_balance_after_any_entries(entries: list[Event]) -> None:
    books = Accounts()
    books.write(*entries)
    assert balance(books.figures())


@given(entries=ENTRIES, more=ENTRIES)
def test_what_a_commit_keeps_is_what_holds_after_it(
    entries: list[Event], more: list[Event]
) -> None:
    books = Accounts()
    books.write(*entries)
    before = books.state()
    kept = books.state_after(more)
    assert books.state() == before
    books.commit(more)
    assert books.state() == kept
    assert kept["commits"] == before["commits"] + 1


@given(entries=ENTRIES)
def test_kept_books_are_loaded_as_they_were(entries: list[Event]) -> None:
    books, again = Accounts(), Accounts()
    books.write(*entries)
    again.load(json.loads(json.dumps(books.state())))
    assert again.state() == books.state()
    assert again.figures() == books.figures()


@given(entries=ENTRIES, found=st.integers(0, 60))
def test_books_agree_with_what_was_found(entries: list[Event], found: int) -> None:
    books = Accounts()
    books.write(*entries)
    before = books.figures()
    lost = books.reconcile(found)
    after = books.figures()
    assert after["waiting"] == found
    assert lost == max(0, before["waiting"] - found)
    assert sum(after["dropped"].values()) == sum(before["dropped"].values()) + lost
    assert after["captured"] == before["captured"] + max(0, found - before["waiting"])


def test_nothing_to_load_changes_nothing() -> None:
    books = Accounts()
    books.write(capture, receive(7.0, 0.5))
    books.load(None)
    assert (books.captured, books.figures()["last_receipt"]) == (1, 7.0)


def test_very_many_reasons_share_one_count() -> None:
    books = Accounts()
    for number in range(1000):
        books.write(capture, reject(f"reason_{number}"))
    books.write(capture, reject("reason_0"))
    rejected = books.figures()["rejected"]
    assert len(rejected) == REASONS_MAX + 1
    assert rejected["other"] == 1000 - REASONS_MAX
    assert rejected["reason_0"] == 2


def test_they_say_in_one_line_how_things_stand() -> None:
    books = Accounts()
    books.write(*[capture] * 9, confirm, reject("not_png"), drop("full", 2))
    now = "9 captured, 1 confirmed, 1 rejected (not_png 1), 2 dropped (full 2), 5 waiting"
    assert str(books) == now
    books.write(send)
    then = "9 captured, 1 confirmed, 1 sent, 1 rejected (not_png 1), 2 dropped (full 2), 4 waiting"
    assert str(books) == then


def test_a_reader_in_another_thread_never_sees_half_an_entry() -> None:
    books, done = Accounts(), threading.Event()
    seen: list[bool] = []

    def read() -> None:
        while not done.is_set():
            facts = books.figures()
            seen.append(balance(facts) and facts["waiting"] == 0)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20_000):
        books.write(capture, drop("full"))
    done.set()
    reader.join()
    assert seen
    assert all(seen)
