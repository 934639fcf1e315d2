"""Of each visit one shot stands for all, and what is counted is what is there, whatever happens."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.protocol.keys import DEFAULT_TEMPLATE, format_key
from gallery.index import model, search
from gallery.index.index import Index
from gallery.index.model import Entry, ref_of
from gallery.index.query import FACE, Filter, Order
from testing.pages import paged

DAY = 1_772_323_200_000
CAMERAS = ("door", "hall")
ORDERS: tuple[Order, ...] = ("newest", "sharpest")
Shot = tuple[str, int, str | None, float | None]
shots = st.tuples(
    st.sampled_from(CAMERAS),
    st.integers(0, 3 * search.QUARTER),
    st.sampled_from((None, "a", "b", "c")),
    st.sampled_from((None, 0.2, 0.2004, 0.9)),
)


def entry(number: int, camera: str = "door", ms: int = 0) -> Entry:
    """A shot as a listing has it, without metadata."""
    facts = {"device": "box-1", "camera": camera, "id": f"{number:032x}"}
    key = format_key(DEFAULT_TEMPLATE, facts, (DAY + ms) / 1000)
    id = f"box-1/{number:032x}"
    return Entry(ref_of(key), key, FACE, "box-1", camera, id, DAY + ms, DAY + number, 5)


def said(track: str | None, quality: float | None) -> dict[str, str]:
    facts = {"track": track, "quality": quality, "sharpness": quality}
    return {name: str(value) for name, value in facts.items() if value is not None}


def shot(number: int, track: str | None = "a", quality: float | None = 0.5, ms: int = 0) -> Entry:
    """A shot as it is announced."""
    return model.with_metadata(entry(number, ms=ms or number), said(track, quality))


def best(made: Iterable[Entry]) -> list[Entry]:
    """What stands for each visit, by looking at every shot."""
    found: dict[object, Entry] = {}
    for one in made:
        key = one.ref if one.visit is None else one.visit
        before = found.get(key)
        if before is None or rank(one) > rank(before):
            found[key] = one
    return list(found.values())


def rank(one: Entry) -> int:
    return int(1000 * (one.quality or 0))


def check(index: Index, made: list[Entry]) -> None:
    leads = best(made)
    for camera in (None, *CAMERAS):
        asked = Filter(camera=camera, leads=True)
        mine = [one for one in leads if camera in (None, one.camera)]
        for order in ORDERS:
            assert sorted(paged(index, asked, order, 2)) == sorted(one.ref for one in mine)
        faces = [one for one in made if camera in (None, one.camera)]
        unknown = sum(not one.known for one in faces)
        assert index.totals(Filter(camera=camera)) == (len(faces), unknown, len(mine))
        half = DAY + search.QUARTER // 2
        late = sum(one.captured >= half for one in mine)
        assert index.totals(Filter(camera=camera, since=half)).visits == late
        bars = index.histogram(Filter(camera=camera))
        assert [sum(bar[at] for bar in bars) for at in (1, 2)] == [len(faces), len(mine)]
    for visit in {one.visit for one in made if one.visit is not None}:
        own = [one for one in made if one.visit == visit]
        assert index.shots(own[:1]) == {visit: len(own)}
        assert index.count(Filter(visit=visit)) == len(own)
        for order in ORDERS:
            found = paged(index, Filter(visit=visit), order, 2)
            assert sorted(found) == sorted(one.ref for one in own)
        assert [one.ref for one in index.leads([visit])] == [one.ref for one in best(own)]
        assert sorted(index.whole_visits([own[0].ref], None)) == sorted(one.ref for one in own)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("visits") / "index.db"


@given(
    made=st.lists(shots, max_size=24),
    listed=st.sets(st.integers(0, 23)),
    later=st.sets(st.integers(0, 23)),
    removed=st.sets(st.integers(0, 23)),
)
@settings(max_examples=60, deadline=None)
def test_the_best_shot_leads_whatever_is_added_learnt_and_removed(
    path: Path, made: list[Shot], listed: set[int], later: set[int], removed: set[int]
) -> None:
    index = Index(path, 1000)
    index.remove([one.ref for one in index.page(Filter(), "newest", None, 1000).entries])
    bare = [entry(number, camera, ms) for number, (camera, ms, _, _) in enumerate(made)]
    whole = [
        model.with_metadata(one, said(track, quality))
        for one, (_, _, track, quality) in zip(bare, made, strict=True)
    ]
    now = [bare[number] if number in listed else whole[number] for number in range(len(made))]
    index.add(now)
    check(index, now)
    for number in sorted(later & set(range(len(made)))):
        _, _, track, quality = made[number]
        now[number] = index.learn(now[number], said(track, quality))
    check(index, now)
    index.remove([one.ref for number, one in enumerate(now) if number in removed])
    left = [one for number, one in enumerate(now) if number not in removed]
    check(index, left)
    index.add(whole)  # which come once more, with all that is to be said of them
    before = [now[number] if number not in removed else whole[number] for number in range(len(now))]
    again = [
        dataclasses.replace(one, quality=old.quality if one.quality is None else one.quality)
        for one, old in zip(whole, before, strict=True)
    ]
    order = [one for number, one in enumerate(again) if number not in removed]
    check(index, order + [one for number, one in enumerate(again) if number in removed])


def test_tracks_of_two_cameras_are_two_visits(tmp_path: Path) -> None:
    index = Index(tmp_path / "index.db", 1000)
    two = [
        model.with_metadata(entry(n, camera), said("a", 0.5)) for n, camera in enumerate(CAMERAS)
    ]
    index.add(two)
    assert index.totals(Filter()).visits == 2


def test_what_has_no_track_stands_for_itself(tmp_path: Path) -> None:
    index = Index(tmp_path / "index.db", 1000)
    index.add([shot(number, track=None) for number in range(3)])
    assert index.totals(Filter()) == (3, 0, 3)


def test_the_shots_that_came_after_a_count_are_not_in_it(
    tmp_path: Path, later: Callable[[Index], int]
) -> None:
    index = Index(tmp_path / "index.db", 1000)
    first = [shot(1), shot(2)]
    index.add(first)
    counted = later(index)
    index.add([shot(3, quality=0.9)])
    assert sorted(index.whole_visits([first[0].ref], counted)) == sorted(one.ref for one in first)
    assert len(index.whole_visits([first[0].ref], None)) == 3


@pytest.fixture
def later() -> Callable[[Index], int]:
    def wait(index: Index) -> int:
        now = index.begin_pass()
        while index.begin_pass() == now:
            pass  # the clock has gone on
        return now

    return wait


def test_a_visit_goes_on_with_the_next_best_shot_when_the_index_is_full(tmp_path: Path) -> None:
    index = Index(tmp_path / "index.db", 1000)
    index.add([shot(0, quality=0.9), *(shot(number, quality=0.1) for number in range(1, 1001))])
    totals = index.totals(Filter())
    assert (totals.faces < 1000, totals.visits) == (True, 1)
