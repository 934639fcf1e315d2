"""To add a store takes its module and one line: a dummy takes a face through the processor."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from common.settings import SettingsError, read
from common.store import registry
from common.store.base import (
    Listed,
    NewObject,
    ObjectBody,
    ObjectStore,
    Observer,
    StoreError,
    StoreOptions,
)
from common.store.store_settings import StoreSettings
from processor.duplicates import Duplicates
from processor.uploads import Uploader
from processor.validation import Arrival
from testing.pictures import png

# The dummy's module: a store in memory, `create` and `find_problems`.


class MemoryStore:
    def __init__(self, options: StoreOptions, observer: Observer) -> None:
        self.name = options.bucket
        self.objects: dict[str, NewObject] = {}
        self._observer = observer

    def check(self) -> None: ...

    def probe(self) -> None: ...

    def put(self, new: NewObject, replace: bool = True) -> None:
        with self._observer.count("put"):
            self.objects[new.key] = new

    def get(self, key: str) -> ObjectBody:
        raise StoreError("missing", key)

    def head(self, key: str) -> dict[str, str]:
        return self.objects[key].metadata

    def pages(self, prefix: str = "") -> Iterator[list[Listed]]:
        yield [Listed(key, len(new.body), 0) for key, new in self.objects.items()]

    def delete(self, keys: list[str]) -> dict[str, str]:
        return {}

    def expire_after(self, days: int) -> bool:
        return False

    def close(self) -> None: ...


def create(options: StoreOptions, observer: Observer) -> MemoryStore:
    return MemoryStore(options, observer)


def find_problems(options: StoreOptions) -> Iterator[str]:
    if options.bucket != "faces":
        yield "COS_BUCKET must be faces"


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.STORES, "memory", sys.modules[__name__].__name__)


SETTINGS = {"COS_ENDPOINT": "memory://here", "COS_BUCKET": "faces"}


def test_a_face_goes_through_the_processor_into_a_store_that_was_added() -> None:
    requests: list[str] = []
    options = read(StoreSettings, SETTINGS).store_options(1)
    store: ObjectStore = registry.create(options, Observer(requests.append))
    uploader = Uploader(store.put, Duplicates(), "faces", "{device}/{id}.png")
    upload = uploader.begin(Arrival("faces/from/box-1", png(), (), None, None, 1_700_000_000.0))
    assert upload.failure is None
    assert requests == ["put"]
    assert store.head(upload.object.key)["device"] == "box-1"
    assert [one.key for page in store.pages() for one in page] == [upload.object.key]


def test_its_own_problems_are_told_with_all_others() -> None:
    with pytest.raises(SettingsError, match="COS_BUCKET must be faces"):
        read(StoreSettings, {**SETTINGS, "COS_BUCKET": "other"})


def test_an_endpoint_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(SettingsError, match="COS_ENDPOINT must be a URL"):
        read(StoreSettings, {**SETTINGS, "COS_ENDPOINT": "ftp://here"})
