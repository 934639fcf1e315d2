"""What every store does alike, whatever it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from common.protocol.keys import PROBE
from common.settings import read
from common.store import registry
from common.store.base import ObjectStore, Observer, StoreError
from common.store.store_settings import StoreSettings
from testing.pictures import png
from testing.store.moto import Moto
from testing.store.nanio import BUCKET, Store, reached_at
from testing.store.objects import KEY, Counts, new
from testing.store.seaweedfs import SeaweedFS

FACTS = {"device": "box-1", "sharpness": "123.4"}


@contextlib.contextmanager
def folder_settings(path: Path) -> Iterator[dict[str, str]]:
    (path / BUCKET).mkdir(parents=True)
    yield reached_at(f"file://{path}")


@contextlib.contextmanager
def nanio_settings(path: Path) -> Iterator[dict[str, str]]:
    with Store(path) as store:
        yield store.settings


@contextlib.contextmanager
def moto_settings(_: Path) -> Iterator[dict[str, str]]:
    with Moto() as store:
        yield store.settings


@contextlib.contextmanager
def seaweedfs_settings(path: Path) -> Iterator[dict[str, str]]:
    with SeaweedFS(path) as store:
        yield store.settings


Opener = Callable[[Path], contextlib.AbstractContextManager[dict[str, str]]]
STORES: dict[str, Opener] = {
    "folder": folder_settings,
    "nanio": nanio_settings,
    "moto": moto_settings,
    "seaweedfs": seaweedfs_settings,
}


@pytest.fixture(scope="module", params=STORES)
def settings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    with STORES[request.param](tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def store(settings: dict[str, str], counts: Counts) -> Iterator[ObjectStore]:
    options = read(StoreSettings, settings).store_options(4)
    opened = registry.create(options, Observer(counts.requests.append, counts.failures.append))
    yield opened
    for page in opened.pages():
        opened.delete([one.key for one in page])
    opened.close()


def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return sorted(one.key for page in store.pages(prefix) for one in page)


def test_what_is_put_can_be_read_byte_for_byte_with_its_facts(store: ObjectStore) -> None:
    image = png(64, 64)
    store.put(new(body=image, **FACTS))
    body = store.get(KEY)
    assert (body.size, body.facts) == (len(image), FACTS)
    assert body.read() == image
    assert store.head(KEY) == FACTS


def test_a_body_of_many_chunks_comes_whole(store: ObjectStore) -> None:
    content = bytes(range(256)) * 2000
    store.put(new(body=content))
    assert b"".join(store.get(KEY).chunks()) == content


def test_an_object_that_is_put_again_is_one_object(store: ObjectStore) -> None:
    store.put(new(body=b"first", track="a"))
    store.put(new(body=b"second", track="b"))
    assert keys(store) == [KEY]
    assert store.get(KEY).read() == b"second"
    assert store.head(KEY) == {"track": "b"}


@pytest.mark.parametrize("probed", [True, False])
def test_without_replacing_the_first_object_stays_and_the_same_again_is_as_good_as_written(
    store: ObjectStore, probed: bool
) -> None:
    if probed:
        store.probe()
    for body in (b"first", b"first"):
        store.put(new(body=body, track="a"), replace=False)
    for other in (b"other", b"of another size"):
        with pytest.raises(StoreError) as caught:
            store.put(new(body=other, track="b"), replace=False)
        assert caught.value.reason == "exists"
    assert store.get(KEY).read() == b"first"
    assert store.head(KEY) == {"track": "a"}
    store.delete([KEY])
    store.put(new(body=b"other"), replace=False)
    assert store.get(KEY).read() == b"other"


def test_a_listing_has_each_object_once_with_its_size_and_time(store: ObjectStore) -> None:
    names = ["b/2.png", "a/1.png", "a-b/1.png", "a/10.png", "c.png"]
    for name in names:
        store.put(new(name, b"x" * len(name)))
    found = [one for page in store.pages() for one in page]
    assert sorted(one.key for one in found) == sorted(names)
    assert all(one.size == len(one.key) for one in found)
    assert all(one.stored > 1_700_000_000_000 for one in found)
    assert keys(store, "a/") == ["a/1.png", "a/10.png"]
    assert keys(store, "a") == ["a-b/1.png", "a/1.png", "a/10.png"]
    assert keys(store, "nothing/") == []


def test_a_listing_may_begin_behind_a_key(store: ObjectStore) -> None:
    for day in ("2026-03-01", "2026-03-02", "2026-03-03"):
        store.put(new(f"box/door/{day}/1.png"))
    found = [one.key for page in store.pages("box/door/", "box/door/2026-03-01~") for one in page]
    assert sorted(found) == ["box/door/2026-03-02/1.png", "box/door/2026-03-03/1.png"]


def test_a_level_has_its_objects_and_the_prefixes_below_it(store: ObjectStore) -> None:
    for name in ("a/b/1.png", "a/b/2.png", "a/c/d/3.png", "a/4.png"):
        store.put(new(name))

    def level(prefix: str) -> tuple[list[str], list[str]]:
        pages = list(store.level(prefix))
        objects = sorted(one.key for found, _ in pages for one in found)
        return objects, sorted(prefix for _, prefixes in pages for prefix in prefixes)

    assert "a/" in level("")[1]  # SeaweedFS keeps folders in which nothing is left
    assert level("a/") == (["a/4.png"], ["a/b/", "a/c/"])
    assert level("a/b/") == (["a/b/1.png", "a/b/2.png"], [])
    assert level("nothing/") == ([], [])


def test_a_deletion_takes_what_is_there_and_minds_nothing_else(store: ObjectStore) -> None:
    for number in range(3):
        store.put(new(f"a/{number}.png"))
    assert store.delete(["a/0.png", "a/2.png", "a/7.png", "b/1.png"]) == {}
    assert keys(store) == ["a/1.png"]


def test_what_is_not_there_is_missing(store: ObjectStore, counts: Counts) -> None:
    for ask in (store.head, store.get):
        with pytest.raises(StoreError) as caught:
            ask("no/such.png")
        assert caught.value.reason == "missing"
    assert counts.failures == ["missing", "missing"]


def test_a_probe_leaves_its_one_object(store: ObjectStore, counts: Counts) -> None:
    store.check()
    store.probe()
    store.probe()
    assert keys(store) == [PROBE]
    assert counts.requests.count("put") == 2


def test_a_bucket_that_is_not_there_is_said_to_be(settings: dict[str, str]) -> None:
    options = read(StoreSettings, {**settings, "COS_BUCKET": "no-such-bucket"}).store_options(1)
    store = registry.create(options)
    with pytest.raises(StoreError) as caught:
        store.check()
    assert caught.value.reason == "no_bucket"
    store.close()


def test_threads_may_share_it(store: ObjectStore) -> None:
    names = [f"t/{number:03}.png" for number in range(40)]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda name: store.put(new(name)), names))
    assert keys(store) == names


def test_a_store_that_keeps_no_rule_says_so_and_one_that_does_keeps_it(store: ObjectStore) -> None:
    kept = store.expire_after(30)
    assert store.expiry() in ((30,) if kept else (0, None))
    assert store.expire_after(0)
    if kept:
        assert store.expire_after(7)
        assert store.expiry() == 7
        assert store.expire_after(0)
        assert store.expiry() == 0
