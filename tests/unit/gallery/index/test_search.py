"""Pages and counts are what looking at every face would give, whatever is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.protocol.keys import DEFAULT_TEMPLATE, format_key
from gallery.index import search
from gallery.index.index import Index
from gallery.index.model import Entry, ref_of
from gallery.index.query import FACE, REJECTED, Filter, Order
from testing.pages import paged

DAY = 1_772_323_200_000
HOUR, QUARTER = search.HOUR, search.QUARTER
DEVICES, CAMERAS = ("box-1", "box-2"), ("door", "hall")


def entry(
    number: int, kind: str, device: str, camera: str, captured: int, sharpness: float | None
) -> Entry:
    facts = {"device": device, "camera": camera, "id": f"{number:032x}"}
    key = format_key(DEFAULT_TEMPLATE, facts, captured / 1000)
    key = key if kind == FACE else f"rejected/{device}/empty_{number:032x}"
    known = sharpness is not None
    id = f"{device}/{number:032x}"
    return Entry(
        *(ref_of(key), key, kind, device, camera, id, captured, DAY + number, 5, sharpness),
        known=known,
    )


times = st.one_of(
    st.integers(DAY, DAY + 3 * HOUR),
    st.integers(0, 12).map(lambda n: DAY + n * QUARTER),  # where ranges begin and end
)
bounds = st.one_of(st.none(), times)
filters = st.builds(
    Filter,
    kind=st.sampled_from((FACE, REJECTED)),
    device=st.sampled_from((None, *DEVICES)),
    camera=st.sampled_from((None, *CAMERAS)),
    since=bounds,
    until=bounds,
    stored=st.one_of(st.none(), st.integers(DAY, DAY + 40)),
)
contents = st.lists(
    st.tuples(
        st.sampled_from((FACE, FACE, REJECTED)),
        st.sampled_from(DEVICES),
        st.sampled_from(CAMERAS),
        times,
        st.sampled_from((None, 0.0, 1.5, 80.0)),
    ),
    max_size=40,
)


def fits(one: Entry, asked: Filter) -> bool:
    return (
        one.kind == asked.kind
        and asked.device in (None, one.device)
        and asked.camera in (None, one.camera)
        and (asked.since is None or one.captured >= asked.since)
        and (asked.until is None or one.captured < asked.until)
        and (asked.stored is None or one.stored <= asked.stored)
    )


def expected(made: list[Entry], asked: Filter, order: Order) -> list[str]:
    """The refs in order; of those that are alike, the last that came is the first."""
    found = [(one.captured, number, one) for number, one in enumerate(made) if fits(one, asked)]
    found.sort(key=lambda item: item[:2], reverse=True)
    if order == "sharpest":
        found.sort(key=lambda item: item[2].sharpness or 0.0, reverse=True)
        found.sort(key=lambda item: item[2].sharpness is None)
    return [one.ref for _, _, one in found]


@pytest.fixture(scope="module", params=[0, search.SORTED], ids=["by hours", "by sources"])
def sorted_at_once(request: pytest.FixtureRequest) -> Iterator[None]:
    """A device's faces by sharpness come from the index of all faces, or are sorted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "SORTED", request.param)
        yield


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search") / "index.db"


def filled(
    path: Path, made: list[tuple[str, str, str, int, float | None]]
) -> tuple[Index, list[Entry]]:
    index = Index(path, 1000)
    index.remove(
        [
            one.ref
            for kind in (FACE, REJECTED)
            for one in index.page(Filter(kind), "newest", None, 1000).entries
        ]
    )
    entries = [entry(number, *about) for number, about in enumerate(made)]
    index.add(entries)
    return index, entries


@pytest.mark.usefixtures("sorted_at_once")
@given(made=contents, asked=filters, order=st.sampled_from(("newest", "sharpest")))
@settings(max_examples=50, deadline=None)
def test_pages_have_what_was_asked_for_in_order(
    path: Path,
    made: list[tuple[str, str, str, int, float | None]],
    asked: Filter,
    order: Order,
) -> None:
    index, entries = filled(path, made)
    found = expected(entries, asked, order)
    assert paged(index, asked, order, 3) == found
    by_ref = {one.ref: one for one in entries}
    for before, ref, after in zip([None, *found], found, [*found[1:], None], strict=False):
        assert index.neighbours(by_ref[ref], asked, order) == (before, after)


@given(made=contents, asked=filters, removed=st.sets(st.integers(0, 39)))
@settings(max_examples=50, deadline=None)
def test_counts_are_those_of_what_is_there(
    path: Path,
    made: list[tuple[str, str, str, int, float | None]],
    asked: Filter,
    removed: set[int],
) -> None:
    index, entries = filled(path, made)
    index.remove([one.ref for number, one in enumerate(entries) if number in removed])
    left = [one for number, one in enumerate(entries) if number not in removed]
    fitting = [one for one in left if fits(one, asked)]
    assert index.count(asked) == len(fitting)
    assert index.known(asked) == sum(one.known for one in fitting)
    unknown = [one.ref for one in index.unknown(asked, 100)]
    assert sorted(unknown) == sorted(one.ref for one in fitting if not one.known)
    everything = dataclasses.replace(asked, since=None, until=None, stored=None)
    assert sum(count for _, count, _ in index.histogram(everything)) == index.count(everything)
    counts = {device.name: device.faces for device in index.devices()}
    names = [one.device for one in left if one.kind == FACE]
    assert counts == {name: names.count(name) for name in set(names)}


def test_what_comes_later_is_not_counted(path: Path) -> None:
    index, _ = filled(path, [(FACE, "box-1", "door", DAY, None)] * 3)
    now = index.begin_pass()
    while index.begin_pass() == now:
        pass  # the clock has gone on
    index.add([entry(100, FACE, "box-1", "door", DAY + 5, None)])
    assert index.count(Filter()) == 4
    assert index.count(Filter(added=now)) == 3
    assert index.count(Filter(device="box-1", since=DAY, added=now)) == 3
