"""The outbox as a state machine: put, send, receipt, crash, restart, full, damage, in any order.

The real shelf and the real handling of receipts, over real files; a crash leaves the files as they
are at that moment, as `kill -9` does.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from common.mqtt.broker import Broker
from common.mqtt.client import Client
from common.protocol.face import Face
from common.runtime.health import Health
from common.runtime.workers import Workers
from common.service import Service
from detector.delivery.congestion import CongestionWindow
from detector.delivery.reliable import ReliableDelivery
from detector.outbox import accounting
from detector.outbox.accounting import Accounts
from detector.outbox.database import OutboxEntry
from detector.outbox.queue import OutboxQueue
from testing.mqtt.publish import encode_publish, parse_publish
from testing.services.outbox import face, overwrite

T = TypeVar("T")
BOUND = 60_000  # bytes of faces
NAME = "camera-0.db"
WORKER = Workers("outbox")  # one for all: threads do not end
WHICH = st.floats(0, 1, exclude_max=True)


class OutboxMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.root = Path(tempfile.mkdtemp(prefix="facepipe-test-machine-"))
        self.runs = 0
        self.put_in = 0
        self.never_kept = 0  # were in memory when it crashed
        self.faces: dict[str, bytes] = {}
        self.settled: dict[str, str] = {}  # id to fate, as the receipts said
        self.fates: dict[str, str] = {}  # those of them that are committed
        self.hurt = False
        self.folder = self.root / "0"
        self.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def start(self) -> None:
        self.run(self._start())

    async def _start(self) -> None:
        self.books = Accounts()
        self.shelf = OutboxQueue(self.folder / NAME, self.books, BOUND, 7, Service())
        link = Client(Broker("edge", "127.0.0.1", 1), "machine", Health(), 0)
        self.shelf._worker = WORKER
        await self.shelf.open()
        self.receipts = ReliableDelivery(
            link, "faces", "box-1", self.shelf, CongestionWindow(32), True, "camera-0"
        )
        self.hear = self.receipts.on_receipt

    def waiting(self, which: float) -> OutboxEntry:
        entries = list(self.shelf.entries.values())
        return entries[int(which * len(entries))]

    def receipt(self, entry: OutboxEntry, **other: str) -> None:
        told = {"id": entry.id, "sha256": entry.sha256, "outcome": "stored", **other}

        async def hear() -> None:
            packet = encode_publish("faces/receipts/box-1", json.dumps(told).encode())
            self.hear(parse_publish(packet), lambda: None)

        self.run(hear())

    # Rules: what can happen.

    @rule(size=st.integers(100, 20_000))
    def put(self, size: int) -> None:
        self.put_in += 1
        entry, picture = face(self.put_in, size)
        self.faces[entry.id] = picture.png

        async def offer() -> None:
            self.receipts.offer(Face(picture.png, picture.facts))

        self.run(offer())

    @rule()
    def commit(self) -> None:
        self.run(self.shelf.commit())

    @precondition(lambda self: self.shelf.entries)
    @rule(which=WHICH, outcome=st.sampled_from(["stored", "rejected"]), times=st.integers(1, 2))
    def receipt_comes(self, which: float, outcome: str, times: int) -> None:
        entry = self.waiting(which)
        for _ in range(times):
            self.receipt(entry, outcome=outcome, reason="not_png")
        self.settled[entry.id] = outcome
        assert entry.seq not in self.shelf.entries

    @precondition(lambda self: self.shelf.entries)
    @rule(which=WHICH)
    def receipt_of_another_digest_comes(self, which: float) -> None:
        entry = self.waiting(which)
        self.receipt(entry, sha256="0" * 64)
        assert entry.seq in self.shelf.entries

    @precondition(lambda self: self.fates)
    @rule(which=WHICH)
    def late_receipt_comes(self, which: float) -> None:
        id = sorted(self.fates)[int(which * len(self.fates))]
        entry, _ = face(int(id, 16), len(self.faces[id]))
        self.receipt(entry, outcome="rejected")

    @precondition(lambda self: self.shelf.entries)
    @rule(which=WHICH)
    def time_of_capture_is_fixed(self, which: float) -> None:
        entry = self.waiting(which)
        facts = face(int(entry.id, 16), entry.size)[1].facts

        async def finish() -> None:
            self.shelf._change.finals.append((entry.seq, facts))
            await self.shelf.commit()

        self.run(finish())

    @rule(pages=st.integers(0, 6))
    def disk_fills_up(self, pages: int) -> None:
        assert self.shelf._files._outbox is not None
        db = self.shelf._files._outbox._db
        has = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count={has + pages}")

    @rule()
    def disk_is_freed(self) -> None:
        assert self.shelf._files._outbox is not None
        self.shelf._files._outbox._db.execute("PRAGMA max_page_count=1000000")

    @rule()
    def crash(self) -> None:
        self.runs += 1
        left, self.folder = self.folder, self.root / str(self.runs)
        shutil.copytree(left, self.folder)
        self.never_kept += len(self.shelf._change.added)
        self.settled = {}
        self.let_go()
        shutil.rmtree(left)
        self.start()

    @rule()
    def restart(self) -> None:
        self.run(self.shelf.close())
        self.settled_is_final()
        self.never_kept += len(self.shelf._change.added)
        self.settled = {}
        os.close(self.shelf._files.locked or -1)
        self.start()

    @precondition(lambda self: self.shelf.entries)
    @rule(which=WHICH, seed=st.integers(0, 99), size=st.integers(1, 3000))
    def damage(self, which: float, seed: int, size: int) -> None:
        """Somewhere in the database, found when it is opened or read."""
        path = self.folder / NAME
        data = random.Random(seed).randbytes(size)
        overwrite(path, int(path.stat().st_size * which), data)
        self.hurt = True
        self.crash()

    def let_go(self) -> None:
        assert self.shelf._files._outbox is not None
        self.shelf._files._outbox.close()
        self.shelf._files._counters.close()
        os.close(self.shelf._files.locked or -1)

    # Invariants: what holds after each of them.

    def settled_is_final(self) -> None:
        if not self.shelf._change.removed:
            self.fates |= self.settled
            self.settled = {}

    @invariant()
    def the_books_balance(self) -> None:
        facts = self.books.figures()
        rejected, dropped = sum(facts["rejected"].values()), sum(facts["dropped"].values())
        fates = facts["confirmed"] + rejected + dropped + facts["waiting"]
        assert facts["captured"] == fates
        assert facts["waiting"] == len(self.shelf.entries) + len(self.shelf._change.removed)

    @invariant()
    def no_face_disappears_uncounted(self) -> None:
        captured = self.put_in - self.never_kept - len(self.shelf._change.added)
        assert self.books.captured == captured

    @invariant()
    def nothing_with_a_receipt_comes_back(self) -> None:
        self.settled_is_final()
        facts = self.books.figures()
        fates = list(self.fates.values())
        assert facts["confirmed"] == fates.count("stored")
        assert sum(facts["rejected"].values()) == fates.count("rejected")
        assert not self.fates.keys() & {entry.id for entry in self.shelf.entries.values()}

    @invariant()
    def the_bound_holds(self) -> None:
        assert self.shelf.bytes == sum(entry.size for entry in self.shelf.entries.values())
        assert self.shelf.bytes <= BOUND

    @invariant()
    def what_waits_can_be_sent(self) -> None:
        waits = dict(self.shelf.entries)
        for seq, picture in self.run(self.shelf.read(list(waits))).items():
            if picture is not None:
                assert picture.png == self.faces[waits[seq].id]
                assert picture.facts["id"] == waits[seq].id
            else:
                assert self.hurt, "a face cannot be read"
                self.shelf.settle(waits[seq], accounting.drop("damaged"))  # as the sender does

    def teardown(self) -> None:
        self.let_go()
        self.loop.close()
        shutil.rmtree(self.root)


OutboxMachine.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
test_nothing_is_lost_uncounted_in_any_order_of_events = OutboxMachine.TestCase
