"""What a store, or what stands in its place, may answer: head, XML and body."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from common.settings import read
from common.store import registry
from common.store.base import ObjectStore, StoreError, new_json
from common.store.store_settings import StoreSettings
from testing.store.canned import Canned
from testing.store.nanio import reached_at
from tests.fuzz.messages import Target


def requests(store: ObjectStore) -> list[Callable[[], object]]:
    new = new_json("box-1/cam-1/2026-03-01/face_1_0123abcd.png", b"{}")
    return [
        lambda: store.put(new),
        lambda: store.put(new, replace=False),
        lambda: store.get(new.key).read(),
        lambda: store.head(new.key),
        lambda: next(iter(store.pages())),
        lambda: store.delete([new.key, "b"]),
        lambda: store.expire_after(3),
    ]


@contextlib.contextmanager
def s3() -> Iterator[Target]:
    """An input is the whole answer, to one request of each kind in turn."""
    with Canned() as canned:
        store = registry.create(
            read(StoreSettings, reached_at(canned.endpoint)).store_options(connections=1)
        )
        kinds = requests(store)
        number = 0

        def run(data: bytes) -> None:
            nonlocal number
            number += 1
            canned.asked.clear()
            canned.reply = lambda _: data
            canned.hangs_up = set(range(1, 20))  # an answer that promises more ends here
            with contextlib.suppress(StoreError):
                kinds[number % len(kinds)]()

        yield run
        store.close()
