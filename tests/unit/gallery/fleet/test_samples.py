"""The samples of the last day, in a file that may be lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gallery.fleet.instance import InstanceName, RateMeter
from gallery.fleet.samples import DAY, EVERY, PLACES, Samples
from testing.services.fleet import NOW

PROCESSOR = InstanceName("cloud", "processor", "one")


@pytest.fixture
def samples(tmp_path: Path) -> Iterator[Samples]:
    made = Samples(tmp_path / "fleet.db")
    yield made
    made.close()


def tally(**figures: float) -> RateMeter:
    return RateMeter(seconds=300, **figures)


def test_samples_are_there_after_a_restart_with_gaps_where_nothing_came(tmp_path: Path) -> None:
    end = int(NOW) // EVERY * EVERY
    first = Samples(tmp_path / "fleet.db")
    first.add(end - 2 * EVERY, [(PROCESSOR, tally(faces=600, waiting=2))])
    first.add(end, [(PROCESSOR, tally(faces=300, waiting=4))])
    first.close()
    again = Samples(tmp_path / "fleet.db")
    (series,) = again.of("cloud", NOW)
    assert series.name == PROCESSOR
    assert series.begin + (PLACES - 1) * EVERY == end
    assert series.values["faces"][-4:] == [None, 2, None, 1]
    assert series.values["waiting"][-1] == 4
    assert "frames" not in series.values
    assert again.lasts() == {PROCESSOR: end}
    assert again.of("jetson-1", NOW) == []
    again.close()


def test_a_day_is_kept_and_no_more(samples: Samples, tmp_path: Path) -> None:
    end = int(NOW) // EVERY * EVERY
    for place in range(PLACES + 50):
        samples.add(end + place * EVERY, [(PROCESSOR, tally(faces=place * 300))])
    at = end + (PLACES + 49) * EVERY
    (series,) = samples.of("cloud", at)
    assert series.values["faces"] == list(range(50, PLACES + 50))
    with sqlite3.connect(tmp_path / "fleet.db") as db:
        assert db.execute("SELECT count(*) FROM sample").fetchone() == (PLACES,)
    db.close()
    samples.add(at + DAY, [])
    assert samples.lasts() == {}


def test_a_clock_that_was_set_back_leaves_no_samples_of_the_future(samples: Samples) -> None:
    samples.add(int(NOW) + 10 * DAY, [(PROCESSOR, tally(faces=1))])
    samples.add(int(NOW), [(InstanceName("a", "b", "c"), tally(faces=1))])
    assert set(samples.lasts()) == {InstanceName("a", "b", "c")}


def test_the_file_has_room_for_so_many_services_the_latest_ones(tmp_path: Path) -> None:
    samples = Samples(tmp_path / "fleet.db", max_services=10)
    for step in range(3):
        names = [InstanceName(f"box-{step}-{number}", "detector", "door") for number in range(10)]
        samples.add((int(NOW) // EVERY + step) * EVERY, [(name, tally()) for name in names])
    assert set(samples.lasts()) == set(names)
    samples.close()


@pytest.mark.parametrize("how", ["no database", "damaged", "of another version"])
def test_a_file_that_cannot_be_used_is_begun_anew_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    path = tmp_path / "fleet.db"
    if how == "no database":
        path.write_bytes(b"not at all" * 1000)
    else:
        made = Samples(path)
        for place in range(PLACES):
            made.add(place * EVERY, [(PROCESSOR, tally(faces=1))])
        made.close()
        if how == "damaged":
            size = path.stat().st_size
            with path.open("r+b") as file:
                file.seek(4096)
                file.write(b"\xee" * (size - 4096))
        else:
            db = sqlite3.connect(path)
            db.execute("PRAGMA user_version = 99")
            db.close()
    samples = Samples(path)
    assert "the charts start over (damaged)" in caplog.text
    samples.add(int(NOW), [(PROCESSOR, tally(faces=1))])
    assert samples.lasts() == {PROCESSOR: int(NOW)}
    samples.close()
