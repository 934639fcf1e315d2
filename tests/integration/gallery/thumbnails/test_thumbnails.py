"""Thumbnails: made once, kept within a bound, and of nothing that is no picture."""

from __future__ import annotations

import asyncio
import io
import os
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from common.protocol.keys import DEFAULT_TEMPLATE, create_key_reader
from common.runtime.workers import Workers
from common.settings import read
from common.store.base import Listed
from common.store.registry import create
from gallery.index import model
from gallery.index.index import Index
from gallery.index.model import Entry
from gallery.settings import GallerySettings
from gallery.thumbnails.resize import SIDE
from gallery.thumbnails.thumbnails import NoThumbnail, Thumbnails
from testing.pictures import png
from testing.store.bucketful import put
from testing.store.nanio import Store

READ = create_key_reader(DEFAULT_TEMPLATE)


class Made:
    """Thumbs over a real store; `get` as a page does."""

    def __init__(self, store: Store, folder: Path, max_bytes: int = 10_000_000) -> None:
        self.store = store
        self.folder = folder / "thumbs"
        self._max_bytes = max_bytes
        settings = read(GallerySettings, {**store.settings, "GALLERY_DATA": str(folder)})
        self.bucket = create(settings.store_options(4))
        self.index = Index(folder / "index.db", 1000)
        self.workers = Workers("store", 4)
        self.thumbs = self.anew()

    def anew(self) -> Thumbnails:
        return Thumbnails(self.folder, self._max_bytes, self.bucket, self.index, self.workers)

    def put(self, key: str, content: bytes, metadata: dict[str, str] | None = None) -> Entry:
        put(self.store, key, content, metadata)
        entry = model.entry_from_listing(Listed(key, len(content), 1_700_000_000_000), READ)
        assert entry is not None
        self.index.add([entry])
        return entry

    def get(self, *wanted: Entry) -> list[bytes]:
        async def all_of_them() -> list[bytes]:
            return await asyncio.gather(*(self.thumbs.get(entry) for entry in wanted))

        return asyncio.run(all_of_them())

    def why_not(self, entry: Entry) -> str:
        with pytest.raises(NoThumbnail) as failure:
            self.get(entry)
        return failure.value.reason

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.rglob("*.webp"))


@pytest.fixture
def made(store: Store, tmp_path: Path) -> Made:
    return Made(store, tmp_path / "gallery")


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bomb(width: int, height: int) -> bytes:
    """A PNG that says that it is so large, and is small."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" * 100_000, 9))
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


def made_up(store: Store, folder: Path) -> Entry:
    return Made(store, folder / "other").put("first.png", png(300, 300))


def older(files: list[Path], in_order: list[Entry]) -> None:
    """Let the files have been looked at a second apart: a file system's clock may be coarse."""
    by_name = {file.stem: file for file in files}
    for age, entry in enumerate(reversed(in_order)):
        if entry.ref in by_name:
            os.utime(by_name[entry.ref], (1e9 - age, 1e9 - age))


@pytest.mark.parametrize(("width", "height"), [(600, 400), (300, 900), (20, 20), (1, 1)])
def test_a_thumbnail_keeps_the_shape_and_is_no_larger_than_it_has_to_be(
    made: Made, width: int, height: int
) -> None:
    [thumb] = made.get(made.put("a.png", png(width, height)))
    with Image.open(io.BytesIO(thumb)) as image:
        assert image.format == "WEBP"
        assert max(image.size) == min(SIDE, max(width, height))
        assert abs(image.width / image.height - width / height) < 0.02 * width / height


def test_it_is_made_once_however_many_ask_for_it(made: Made) -> None:
    entry = made.put("a.png", png(100, 100))
    thumbs = made.get(*[entry] * 20)
    thumbs += made.get(entry)
    made.thumbs = made.anew()  # as after a restart
    thumbs += made.get(entry)
    assert len(set(thumbs)) == 1
    path = made.store.bucket / "a.png"
    path.unlink()
    assert made.get(entry) == thumbs[:1]


def test_the_metadata_that_come_with_the_picture_are_kept(made: Made) -> None:
    entry = made.put("a.png", png(50, 50), {"sharpness": "77.5", "device": "box-9"})
    made.get(entry)
    found = made.index.entry(entry.ref)
    assert found is not None
    assert (found.sharpness, found.device, found.known) == (77.5, "box-9", True)


def test_the_original_stays_as_it_is(made: Made) -> None:
    original = png(500, 500)
    made.get(made.put("a.png", original))
    assert made.store.objects()["a.png"] == original


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not_image"),
        (b"GIF89a\x01\x00\x01\x00", "not_image"),
        (png(40, 40)[:60], "not_image"),
        (b"<html><script>alert(1)</script>", "not_image"),
        (bomb(65_535, 65_535), "too_large"),
        (bomb(4_200, 4_200), "too_large"),
        (bomb(300, 300)[:-30], "not_image"),
        (b"\x89PNG\r\n\x1a\n", "not_image"),
        (b"\x89PNG\r\n\x1a\n" + b"\xff" * 40, "not_image"),
        (b"\x89PNG" + b"x" * 4_000_000, "too_large"),
    ],
)
def test_of_what_is_no_picture_there_is_none_and_the_reason_is_told(
    made: Made, content: bytes, reason: str
) -> None:
    assert made.why_not(made.put("a.png", content)) == reason
    assert made.files == []


@pytest.mark.parametrize(
    "more",
    [
        chunk(b"iCCP", b""),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 1_000_000)) * 60,
        chunk(b"tIME", b"\xff" * 7),
        chunk(b"sRGB", b"") + chunk(b"gAMA", b"1"),
    ],
)
def test_what_a_picture_carries_beside_its_pixels_is_not_even_read(made: Made, more: bytes) -> None:
    plain = png(40, 40)
    end = plain.index(b"IEND") - 4
    expected = made.get(made.put("plain.png", plain))
    for number, at in enumerate((33, end)):
        sent = plain[:at] + more + plain[at:]
        assert made.get(made.put(f"{number}.png", sent)) == expected


def test_a_thumbnail_that_is_made_while_its_face_is_deleted_does_not_stay(made: Made) -> None:
    entry = made.put("a.png", png(10, 10))
    made.index.remove([entry.ref])
    made.get(entry)
    assert made.files == []


def test_what_the_index_does_not_know_is_taken_away_and_what_a_kill_has_left(made: Made) -> None:
    kept, gone = made.put("a.png", png(10, 10)), made.put("b.png", png(20, 20))
    made.get(kept, gone)
    left = made.files[0].with_name("x.webp.1.new")
    left.write_bytes(b"half")
    made.index.remove([gone.ref])
    made.thumbs = made.anew()
    made.thumbs.prune()
    assert [file.stem for file in made.files] == [kept.ref]
    assert not left.exists()


def test_of_an_object_that_is_gone_there_is_none(made: Made) -> None:
    entry = made.put("a.png", png(10, 10))
    (made.store.bucket / "a.png").unlink()
    assert made.why_not(entry) == "missing"


def test_a_store_that_is_away_is_told_and_the_next_try_is_a_new_one(made: Made) -> None:
    entry = made.put("a.png", png(10, 10))
    made.store.kill()
    assert made.why_not(entry) == "unreachable"
    made.store.start()
    assert len(made.get(entry)) == 1


def test_within_its_bound_those_stay_that_were_looked_at_last(store: Store, tmp_path: Path) -> None:
    size = len(Made(store, tmp_path / "first").get(made_up(store, tmp_path))[0])
    made = Made(store, tmp_path / "gallery", max_bytes=10 * size)
    all_of_them = [made.put(f"{number}.png", png(300, 300)) for number in range(40)]
    for number, entry in enumerate(all_of_them):
        made.get(entry)
        older(made.files, all_of_them[: number + 1])
        made.get(all_of_them[0])  # somebody's favourite
        assert sum(file.stat().st_size for file in made.files) <= 10 * size
    names = {file.stem for file in made.files}
    assert {all_of_them[0].ref, all_of_them[-1].ref} <= names


def test_of_what_was_deleted_nothing_stays(made: Made) -> None:
    entry = made.put("a.png", png(10, 10))
    made.get(entry)
    assert len(made.files) == 1
    made.thumbs.forget([entry.ref, "0" * 20])
    assert made.files == []


def test_a_folder_that_cannot_be_written_to_costs_no_picture(made: Made) -> None:
    entry = made.put("a.png", png(10, 10))
    (made.folder / entry.ref[:2]).write_bytes(b"a file, where a folder should be")
    assert len(made.get(entry)[0]) > 20
