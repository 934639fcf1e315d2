"""The simulated devices' books, the search for a rate, and what is told of a step."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from bench.capacity import Cost, servers
from bench.cloud import Cloud, Identities
from bench.device import Books, Device, Ready
from bench.devices import Devices
from bench.load.pictures import picture
from bench.rates import search
from bench.step import Step
from bench.usage import Usage
from bench.wire import Letter
from common.protocol.face import Face
from detector.delivery.congestion import INITIAL_TIMEOUT
from testing.host.wait import until


class Sent:
    """A device, and what it has sent so far."""

    def __init__(self, window: int = 8) -> None:
        letter = Letter.to("faces/from/box-1", "box-1", {"device": "box-1"}, b"PNG", 0)
        self.books = Books()
        self.times: list[float] = []
        self.device = Device([Ready(letter, "digest")], window, self.books, self.times)
        self.ids: list[str] = []

    def at(self, now: float) -> list[str]:
        """The ids of what it sends now; each stands in a packet as fact and as correlation."""
        heads = [parts[0] for parts in self.device.admitted(now)]
        ids = [head.split(b"\x09\x00\x20")[1][:32].decode() for head in heads]
        assert all(head.count(id.encode()) == 2 for head, id in zip(heads, ids, strict=True))
        return ids

    def hear(self, id: str, now: float, sha256: str = "digest", outcome: str = "stored") -> None:
        self.device.hear(json.dumps({"id": id, "sha256": sha256, "outcome": outcome}).encode(), now)


def test_a_face_whose_receipt_does_not_come_is_sent_again_and_counted() -> None:
    sent = Sent()
    sent.device.capture(0.0)
    (id,) = sent.at(0.0)
    sent.device.look(INITIAL_TIMEOUT - 0.1)
    assert sent.at(INITIAL_TIMEOUT - 0.1) == []
    sent.device.look(INITIAL_TIMEOUT)
    assert sent.at(INITIAL_TIMEOUT) == [id]
    assert sent.books == Books(captured=1, resent=1)
    assert sent.books.waiting == 1


def test_a_receipt_ends_the_waiting_and_the_next_one_for_that_face_is_one_too_many() -> None:
    sent = Sent()
    sent.device.capture(1.0)
    (id,) = sent.at(1.2)
    sent.hear(id, 1.5)
    sent.hear(id, 1.6)
    assert sent.books == Books(captured=1, confirmed=1, again=1)
    assert sent.device.confirmed == [id]
    assert sent.times == [pytest.approx(0.5)]
    sent.device.look(100.0)
    assert sent.at(100.0) == []


def test_a_receipt_that_comes_while_its_face_waits_to_be_sent_again_ends_it_too() -> None:
    sent = Sent()
    sent.device.capture(0.0)
    (id,) = sent.at(0.0)
    sent.device.look(INITIAL_TIMEOUT)
    sent.hear(id, INITIAL_TIMEOUT)
    assert sent.at(INITIAL_TIMEOUT) == []
    assert sent.books == Books(captured=1, confirmed=1)


def test_no_more_faces_are_under_way_than_the_window_admits_and_the_newest_go_first() -> None:
    sent = Sent(window=2)
    for number in range(4):
        sent.device.capture(float(number))
    third, second = sent.at(4.0)
    assert third > second
    sent.hear(third, 4.1)
    assert len(sent.at(4.1)) == 1
    assert sent.at(4.2) == []


def test_a_face_whose_receipt_has_another_digest_goes_on_waiting() -> None:
    sent = Sent()
    sent.device.capture(0.0)
    (id,) = sent.at(0.0)
    sent.hear(id, 0.1, sha256="other")
    assert sent.books == Books(captured=1, mismatched=1)
    sent.device.look(INITIAL_TIMEOUT)
    assert sent.at(INITIAL_TIMEOUT) == [id]


def test_a_face_that_is_rejected_waits_no_more() -> None:
    sent = Sent()
    sent.device.capture(0.0)
    (id,) = sent.at(0.0)
    sent.hear(id, 0.1, outcome="rejected")
    assert sent.books == Books(captured=1, rejected=1)
    assert sent.books.waiting == 0


def test_each_face_of_real_devices_is_one_object_and_has_its_receipt(tmp_path: Path) -> None:
    names = ["device-1", "device-2", "device-3"]
    facts = {"id": "x" * 32, "device": "box", "camera": "camera-0"}
    faces = [
        Face(picture(2, seed), {**facts, "captured": "2026-03-01T12:00:00.000000Z"})
        for seed in range(2)
    ]
    identities = Identities(tmp_path, names)
    with (
        Cloud(identities, 1, 0) as cloud,
        Devices(cloud.broker.port, identities.bundles, faces, 8) as devices,
    ):
        devices.ask("rate", 20.0)
        until(lambda: devices.ask("books")[0].confirmed >= 60)
        devices.ask("rate", 0.0)
        until(lambda: devices.ask("books")[1] == 0, what="none waits")
        confirmed = devices.ask("confirmed")
        keys = cloud.sink.keys()
        assert list(confirmed) == names
        for name, ids in confirmed.items():
            stored = [key for key in keys if key.startswith(f"{name}/camera-0/")]
            assert sorted(key[-36:-4] for key in stored) == sorted(ids)
        assert len(keys) == devices.ask("books")[0].captured


@dataclasses.dataclass
class Tried:
    """A step of something that stores so much, and no more."""

    offered: float
    most: float
    disturbed: bool = False

    @property
    def stored(self) -> float:
        return min(self.offered, self.most)

    @property
    def held(self) -> bool:
        return self.offered <= self.most


@pytest.mark.parametrize("most", [90.0, 450.0, 999.0, 1000.0, 1700.0, 2300.0])
def test_the_highest_rate_is_found_from_below_and_from_above(most: float) -> None:
    best, beyond = search(lambda rate: Tried(rate, most), 1000.0, 8)
    assert beyond is not None
    assert 0.9 * most <= best.offered <= most < beyond.offered


def test_without_a_rate_that_holds_it_fails_and_without_a_limit_there_is_nothing_beyond() -> None:
    with pytest.raises(RuntimeError, match="no rate has held"):
        search(lambda rate: Tried(rate, 0.0), 1000.0, 3)
    best, beyond = search(lambda rate: Tried(rate, 1e9), 1000.0, 3)
    assert best.offered == 4000.0
    assert beyond is None


def test_a_rate_that_fails_while_others_use_the_machine_is_tried_again() -> None:
    tried: list[float] = []

    def step(rate: float) -> Tried:
        tried.append(rate)
        disturbed = len(tried) == 1
        return Tried(rate, 10.0 if disturbed else 1000.0, disturbed)

    best, _ = search(step, 1000.0, 1)
    assert tried == [1000.0, 1000.0]
    assert best.offered == 1000.0


def step(offered: float = 100.0, **changed: object) -> Step:
    """Ten seconds, in which all that was offered was stored; of ten cores one was used."""
    cpu = {"broker": 0.1, "log filter": 0.1, "processor 1": 0.8, "devices": 1.0}
    usage = Usage(10.0, cpu, machine=2.0)
    count = int(10 * offered)
    steady = [5] * 10
    made = Step(offered, count, count, 0, steady, 1, usage, [0.01])
    return dataclasses.replace(made, **changed)


def test_a_rate_holds_when_it_came_and_what_waits_comes_down_and_little_is_sent_again() -> None:
    assert step().held
    assert step(waiting=[90, 5, 5, 60, 5, 40, 90, 60, 15, 50]).held
    assert not step(waiting=[10 * second for second in range(10)]).held
    assert not step(captured=900).held
    assert not step(resent=20).held


def test_what_gives_in_is_a_full_part_else_the_machine_else_the_puts() -> None:
    cpu = {"broker": 1.0, "processor 1": 9.5, "devices": 2.0}
    assert "the processor 1 gives in" in step(usage=Usage(10.0, cpu, 12.0)).gives_in(1)
    shared = {"broker": 1.0, "processor 1": 5.0, "devices": 2.0}
    assert "this machine gives in" in step(usage=Usage(10.0, shared, 1e6)).gives_in(1)
    assert "PUTs are too few" in step(in_hand=40).gives_in(2)
    assert "no part is full" in step(in_hand=20).gives_in(2)


def test_a_server_carries_what_its_cores_bear_but_no_more_than_one_broker_does() -> None:
    one = step()  # 0.1 ms of a broker, 0.1 ms of its log, and 0.8 ms of a processor for each face
    told = {figure.name: figure.value for figure in servers(Cost.of(one))}
    assert told["4 cores: faces a second"] == pytest.approx(4000)
    assert told["4 cores: devices at 10 a second"] == 400
    assert told["4 cores: processors"] == 4
    assert told["4 cores: processors at 50 ms a PUT"] == 13  # 16 of them under way in each
    assert told["16 cores: faces a second"] == pytest.approx(10_000)
