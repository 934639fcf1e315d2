"""The gallery's index: what is known of the bucket, in order, within its bound."""

from __future__ import annotations

import datetime
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.protocol.keys import DEFAULT_TEMPLATE, create_key_reader, format_key, rejected_key
from common.protocol.stored import Stored
from common.store.base import Listed
from gallery.index import model
from gallery.index.database import IndexTrouble
from gallery.index.index import Index, share_out
from gallery.index.model import Entry, Record, ref_of
from gallery.index.query import BadCursor, Filter

DAY = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC).timestamp()
READ = create_key_reader(DEFAULT_TEMPLATE)
FACE = Filter()


def face(number: int, device: str = "box-1", camera: str = "door", at: float = DAY) -> Listed:
    """The object of a face, as a listing has it."""
    facts = {"device": device, "camera": camera, "id": f"{number:032x}"}
    return Listed(format_key(DEFAULT_TEMPLATE, facts, at + number), 1000 + number, round(at * 1000))


def entry(listed: Listed) -> Entry:
    found = model.entry_from_listing(listed, READ)
    assert found is not None
    return found


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path / "index.db", 1000)


def filled(index: Index, count: int, device: str = "box-1", camera: str = "door") -> list[Entry]:
    made = [entry(face(number, device, camera)) for number in range(count)]
    index.add(made)
    return made


def test_a_listing_tells_device_camera_and_time_by_the_key(index: Index) -> None:
    filled(index, 1)
    [found] = index.page(FACE, "newest", None, 10).entries
    assert (found.device, found.camera, found.captured) == ("box-1", "door", DAY * 1000)
    assert (found.size, found.known, found.sharpness) == (1000, False, None)
    assert found.ref == ref_of(found.key)


def test_pages_go_on_where_the_last_one_ended_newest_first(index: Index) -> None:
    made = filled(index, 25)
    seen: list[Entry] = []
    after = None
    for expected in (10, 10, 5):
        page = index.page(FACE, "newest", after, 10)
        assert len(page.entries) == expected
        seen += page.entries
        after = page.next
    assert after is None
    assert seen == made[::-1]


def test_what_arrives_meanwhile_shifts_no_page(index: Index) -> None:
    made = filled(index, 20)
    first = index.page(FACE, "newest", None, 10)
    index.add([entry(face(99))])
    assert index.page(FACE, "newest", first.next, 10).entries == made[9::-1]


def test_the_sharpest_come_first_and_those_not_known_last(index: Index) -> None:
    made = filled(index, 4)
    index.learn(made[1], {"sharpness": "20"})
    index.learn(made[2], {"sharpness": "300.5"})
    page = index.page(FACE, "sharpest", None, 3)
    assert [one.ref for one in page.entries] == [made[2].ref, made[1].ref, made[3].ref]
    rest = index.page(FACE, "sharpest", page.next, 3)
    assert [one.ref for one in rest.entries] == [made[0].ref]
    assert index.known(FACE) == 2
    assert [one.ref for one in index.unknown(FACE, 10)] == [made[3].ref, made[0].ref]


@pytest.mark.parametrize("text", ["", "x", "W10", "WyJuZXdlc3QiXQ", "e30", "\0", "é", "=" * 99])
def test_a_cursor_that_is_none_of_ours_is_refused(index: Index, text: str) -> None:
    with pytest.raises(BadCursor):
        index.page(FACE, "newest", text, 10)


def test_a_cursor_of_another_order_is_refused(index: Index) -> None:
    filled(index, 3)
    cursor = index.page(FACE, "newest", None, 1).next
    with pytest.raises(BadCursor):
        index.page(FACE, "sharpest", cursor, 1)


@given(text=st.text(max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_no_text_for_a_cursor_is_a_fault(index: Index, text: str) -> None:
    with pytest.raises(BadCursor):
        index.page(FACE, "newest", text, 10)


def test_filters_by_device_camera_and_time(index: Index) -> None:
    filled(index, 5, device="box-1", camera="door")
    index.add([entry(face(n, device="box-2", camera="hall")) for n in range(100, 103)])
    assert index.count(FACE) == 8
    assert index.count(Filter(device="box-2")) == 3
    assert index.count(Filter(device="box-2", camera="door")) == 0
    since = round((DAY + 2) * 1000)
    assert index.count(Filter(device="box-1", since=since)) == 3
    assert index.count(Filter(device="box-1", until=since)) == 2
    assert [(d.name, d.cameras, d.faces) for d in index.devices()] == [
        ("box-1", ["door"], 5),
        ("box-2", ["hall"], 3),
    ]


def test_neighbours_are_those_of_what_was_asked_for(index: Index) -> None:
    mine = filled(index, 3, device="box-1")
    index.add([entry(face(1, device="box-2"))])
    asked = Filter(device="box-1")
    assert index.neighbours(mine[1], asked, "newest") == (mine[2].ref, mine[0].ref)
    assert index.neighbours(mine[2], asked, "newest") == (None, mine[1].ref)
    assert index.neighbours(mine[0], asked, "newest") == (mine[1].ref, None)


def test_counts_by_quarters_of_an_hour_which_every_time_zone_is_made_of(index: Index) -> None:
    quarter = 900.0
    for number, at in enumerate((DAY, DAY + quarter - 60, DAY + quarter, DAY + 5 * quarter)):
        index.add([entry(face(number, at=at - number))])
    start = round(DAY * 1000)
    assert index.histogram(FACE) == [
        (start, 2, 2),
        (start + 900_000, 1, 1),
        (start + 5 * 900_000, 1, 1),
    ]


def test_within_its_bound_the_newest_are_kept(tmp_path: Path) -> None:
    index = Index(tmp_path / "index.db", 1000)
    made = filled(index, 1200)
    assert 980 <= index.count(FACE) <= 1000
    assert index.is_full
    assert index.page(FACE, "newest", None, 1).entries == made[-1:]
    assert index.entry(made[199].ref) is None
    assert index.entry(made[220].ref) is not None


def test_what_a_listing_has_no_more_is_forgotten_and_what_came_since_is_not(index: Index) -> None:
    made = filled(index, 5)
    index.learn(made[0], {"sharpness": "7"})
    began = index.begin_pass()
    while index.begin_pass() == began:
        pass  # the clock has gone on
    began = index.begin_pass()
    index.add(made[:3])  # which are listed
    late = entry(face(50))
    index.add([late])  # announced while the listing was under way
    assert {ref for lot, _ in index.end_pass(began) for ref in lot} == {made[3].ref, made[4].ref}
    assert index.count(FACE) == 4
    assert index.entry(late.ref) is not None
    kept = index.entry(made[0].ref)
    assert kept is not None
    assert kept.sharpness == 7


def test_a_listing_takes_nothing_away_that_an_announcement_had_told(index: Index) -> None:
    told = {
        "key": face(1).key,
        "bytes": 1001,
        "stored": "2026-03-01T00:00:09Z",
        "sharpness": "123.4",
        "captured": "2026-03-01T00:00:01.25Z",
    }
    announced = model.entry_from_announcement(Stored.decode(json.dumps(told).encode()), READ)
    assert announced is not None
    new, _ = index.add([announced])
    assert new == [announced]
    new, _ = index.add([entry(face(1))])
    assert new == []
    found = index.entry(announced.ref)
    assert found is not None
    assert (found.sharpness, found.known) == (123.4, True)
    assert found.captured == DAY * 1000 + 1250


@pytest.mark.parametrize(
    "key",
    [
        ".facepipe/deletions/x",
        "rejected/box-1/empty_12345678",
        "\ud800.png",
    ],
)
def test_an_announcement_of_what_is_no_face_is_passed_over(key: str) -> None:
    assert model.entry_from_announcement(Stored(key, "", 1, 1_700_000_000.0, {}), READ) is None


def test_the_products_own_objects_are_no_faces() -> None:
    for own in (".facepipe/probe", ".facepipe/deletions/x.json", "a/folder/"):
        assert model.entry_from_listing(Listed(own, 1, 1), READ) is None


@pytest.mark.parametrize(
    "strange", ["odd.png", "../../etc/passwd", "a/../b.png", "<script>.png", "a\x07b", "ü/ñ.png"]
)
def test_objects_of_others_are_of_an_unknown_device_by_their_time_of_storing(
    index: Index, strange: str
) -> None:
    index.add([entry(Listed(strange, 10, 1_700_000_000_000))])
    [found] = index.page(FACE, "newest", None, 10).entries
    assert (found.key, found.device, found.camera) == (strange, "unknown", "unknown")
    assert found.captured == 1_700_000_000_000


def test_what_was_rejected_stands_apart_with_its_reason(index: Index) -> None:
    index.add([entry(Listed(rejected_key("box-1", "bad_crc", "f" * 32), 10, 1_700_000_000_000))])
    assert index.count(FACE) == 0
    [found] = index.page(Filter(kind="rejected"), "newest", None, 10).entries
    assert (found.device, found.reason, found.id) == ("box-1", "bad_crc", f"box-1/{'f' * 32}")
    assert index.devices() == []


def test_a_face_that_was_deleted_is_not_taken_up_again(index: Index) -> None:
    made = filled(index, 3)
    index.bury("log-1", Record("job-1", 5, "anna", "1 face", [made[1].id], 1))
    index.remove([made[1].ref])
    new, again = index.add(made)
    assert new == []
    assert again == [made[1]]
    assert index.count(FACE) == 2
    [deletion] = index.deletions(10)
    assert (deletion.by, deletion.what, deletion.count, deletion.at) == ("anna", "1 face", 1, 5)
    assert index.logs() == {"log-1"}


def test_what_should_be_gone_and_is_still_here_is_told(index: Index) -> None:
    made = filled(index, 3)
    index.bury("log-1", Record("job-1", 5, "anna", "1 face", [made[1].id], 1))
    assert list(index.buried(10)) == [[made[1]]]


def test_an_object_that_names_no_face_may_come_again_after_it_was_deleted(index: Index) -> None:
    report = entry(Listed("reports/nightly.pdf", 10, 1_700_000_000_000))
    index.add([report])
    index.bury("log-1", Record("job-1", 5, "anna", "1 object", [report.id], 1))
    index.remove([report.ref])
    assert index.add([report]) == ([report], [])


def test_a_rejected_object_has_no_copies_whatever_id_its_sender_gave_it(index: Index) -> None:
    genuine = entry(face(1))
    key = rejected_key("box-1", "empty", genuine.id.partition("/")[2])
    forged = entry(Listed(key, 0, 1_700_000_000_000))
    index.add([genuine, forged])
    assert forged.id == genuine.id
    assert index.copies([forged]) == []
    assert index.copies([genuine]) == [forged]


def test_the_same_id_of_another_device_is_another_face(index: Index) -> None:
    mine, other = entry(face(1, device="box-1")), entry(face(1, device="box-2"))
    index.add([mine, other])
    assert index.copies([mine]) == []
    index.bury("log-1", Record("job-1", 5, "anna", "1 face", [mine.id], 1))
    assert list(index.buried(10)) == [[mine]]


def test_it_is_there_after_a_restart(tmp_path: Path) -> None:
    filled(Index(tmp_path / "index.db", 1000), 7)
    assert Index(tmp_path / "index.db", 1000).count(FACE) == 7


def _cut(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)


def _middle(path: Path) -> None:
    """The file is sound at its beginning, and nowhere else."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))


def _scribble(path: Path) -> None:
    path.write_bytes(b"no database at all")


def _other_version(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 999")
    db.close()


@pytest.mark.parametrize("damage", [_cut, _middle, _scribble, _other_version])
def test_a_damaged_file_is_thrown_away_and_made_anew(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "index.db"
    filled(Index(path, 1000), 300)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    for left in ("index.db-wal", "index.db-shm"):
        (tmp_path / left).unlink(missing_ok=True)
    damage(path)
    with caplog.at_level("INFO"):
        index = Index(path, 1000)
    assert index.count(FACE) == 0
    assert "rebuilding the index" in caplog.text
    filled(index, 2)
    assert index.count(FACE) == 2


@given(
    device=st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True),
    camera=st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True),
    id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{7,63}", fullmatch=True),
    at=st.integers(0, 4_000_000_000_000),
    template=st.sampled_from(
        [
            DEFAULT_TEMPLATE,
            "{date}/{hour}/{device}/{camera}_{id}.png",
            "{id}.png",
            "faces/{device}/{device}/{unix_ms}/{id}",
        ]
    ),
)
def test_a_key_can_be_read_by_the_template_that_made_it(
    device: str, camera: str, id: str, at: int, template: str
) -> None:
    facts = {"device": device, "camera": camera, "id": id}
    named = create_key_reader(template)(format_key(template, facts, at / 1000))
    assert named is not None
    assert named.id == id
    assert named.device == (device if "device" in template else "unknown")
    if "unix_ms" in template:
        assert named.captured == at


def test_a_file_that_is_damaged_while_it_is_used_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    index = Index(path, 1000)
    filled(index, 900)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    _middle(path)
    with pytest.raises(IndexTrouble, match="was damaged"):
        index.add([entry(face(number)) for number in range(2000, 2900)])
    assert index.count(FACE) == 0
    filled(index, 5)
    assert index.count(FACE) == 5


@pytest.mark.parametrize("told", [{"sharpness": 10**400}, {"sharpness": "1e999"}, {"score": []}])
def test_a_number_that_is_none_is_no_fault(told: dict[str, object]) -> None:
    learned = model.with_metadata(entry(face(1)), told)
    assert (learned.sharpness, learned.score) == (None, None)


@pytest.mark.parametrize(
    ("counts", "over", "rows"),
    [
        ({"a": 10}, 3, {"a": 3}),
        ({"a": 10, "b": 4}, 3, {"a": 3}),
        ({"a": 10, "b": 4}, 8, {"a": 7, "b": 1}),
        ({"a": 5, "b": 5, "c": 1}, 3, {"a": 1, "b": 2}),
        ({"a": 2, "b": 1}, 9, {"a": 2, "b": 1}),
    ],
)
def test_devices_with_the_most_rows_give_up_some(
    counts: dict[str, int], over: int, rows: dict[str, int]
) -> None:
    assert share_out(counts, over) == rows


def test_a_device_that_fills_the_index_pushes_out_no_face_of_another(tmp_path: Path) -> None:
    index = Index(tmp_path / "index.db", 300)
    honest = [entry(face(number)) for number in range(50)]
    index.add(honest)
    later = DAY + 86_400
    for start in range(0, 1000, 100):
        index.add([entry(face(start + n, device="thief", at=later)) for n in range(100)])
    assert index.is_full
    assert all(index.entry(one.ref) is not None for one in honest)
