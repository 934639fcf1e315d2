"""What every request to a store says of each way in which the store can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from common.settings import read
from common.store import registry
from common.store.base import ObjectStore, Observer, StoreError
from common.store.store_settings import StoreSettings
from testing.host.wait import free_port
from testing.store.fake_s3 import FakeS3
from testing.store.nanio import reached_at
from testing.store.objects import KEY, Counts, new

Request = Callable[[ObjectStore], object]
WRITES: dict[str, Request] = {
    "put": lambda store: store.put(new()),
    "delete": lambda store: store.delete([KEY]),
}
LISTS: dict[str, Request] = {"list": lambda store: list(store.pages())}
READS: dict[str, Request] = {
    "get": lambda store: store.get(KEY),
    "head": lambda store: store.head(KEY),
}
REQUESTS = WRITES | LISTS | READS
# The fault, its reason, and the requests that it says nothing else to. The answer to a HEAD has no
# body, so only its status is known.
FAULTS: list[tuple[str, str, dict[str, Request]]] = [
    ("slow_down", "slow_down", REQUESTS),
    ("busy", "slow_down", REQUESTS),
    ("denied", "denied", REQUESTS),
    ("wrong_key", "denied", REQUESTS),
    ("error", "server", REQUESTS),
    ("headers", "refused", REQUESTS),
    ("teapot", "not_s3", REQUESTS),
    ("no_s3", "not_s3", REQUESTS),
    ("reset", "unreachable", REQUESTS),
    ("not_found", "no_bucket", WRITES | LISTS),
    ("not_found", "missing", READS),
    ("no_bucket", "no_bucket", WRITES | LISTS | {"get": READS["get"]}),
    ("too_much", "refused", WRITES | LISTS | {"get": READS["get"]}),
    ("no_etag", "not_s3", {"put": WRITES["put"]} | LISTS),
    ("altered", "altered", {"put": WRITES["put"]}),
    ("lost", "unreachable", {"put": WRITES["put"]}),
    ("hang", "timeout", {"put": WRITES["put"]}),
]


@pytest.fixture(scope="module")
def s3() -> Iterator[FakeS3]:
    with FakeS3() as server:
        yield server


@pytest.fixture
def counts() -> Counts:
    return Counts()


def opened(settings: dict[str, str], counts: Counts) -> ObjectStore:
    options = read(StoreSettings, settings).store_options(2)
    return registry.create(options, Observer(counts.requests.append, counts.failures.append))


@pytest.fixture
def store(s3: FakeS3, counts: Counts) -> Iterator[ObjectStore]:
    store = opened(s3.settings, counts)
    yield store
    s3.always = ""
    store.close()


@pytest.mark.parametrize(
    ("fault", "reason", "name"),
    [(fault, reason, name) for fault, reason, names in FAULTS for name in names],
)
def test_each_fault_has_its_reason_and_is_counted_once(
    s3: FakeS3, store: ObjectStore, counts: Counts, fault: str, reason: str, name: str
) -> None:
    s3.always = fault
    with pytest.raises(StoreError) as caught:
        REQUESTS[name](store)
    assert caught.value.reason == reason
    assert (counts.requests, counts.failures) == ([name], [reason])


def test_after_a_fault_the_next_request_is_answered(s3: FakeS3, store: ObjectStore) -> None:
    for fault in ("slow_down", "reset", "denied"):
        s3.always = fault
        with pytest.raises(StoreError):
            store.put(new())
        s3.always = ""
        store.put(new(body=fault.encode()))
        assert store.get(KEY).read() == fault.encode()


@pytest.mark.parametrize("name", REQUESTS)
def test_a_store_that_is_not_there_is_unreachable(counts: Counts, name: str) -> None:
    store = opened(reached_at(f"http://127.0.0.1:{free_port()}"), counts)
    with pytest.raises(StoreError, match="nothing is listening at COS_ENDPOINT=") as caught:
        REQUESTS[name](store)
    assert caught.value.reason == "unreachable"
    assert counts.failures == ["unreachable"]
    store.close()
