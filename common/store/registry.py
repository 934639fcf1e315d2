"""The kinds of object store, by the scheme of COS_ENDPOINT.

To add one: its module (or folder) with `create` and `find_problems`, and a line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Protocol, cast

from common.store.base import ObjectStore, Observer, StoreOptions

STORES = {
    "https": "common.store.s3.store",
    "http": "common.store.s3.store",
    "file": "common.store.folder",
}


class StoreModule(Protocol):
    """What the module of a store has."""

    def create(self, options: StoreOptions, observer: Observer) -> ObjectStore: ...

    def find_problems(self, options: StoreOptions) -> Iterator[str]:
        """Sentences on what keeps the store from being created, each naming its setting."""


def load(endpoint: str) -> StoreModule:
    """The module for an endpoint. Raises KeyError for a scheme that is not in STORES."""
    scheme = endpoint.partition(":")[0].lower()
    return cast(StoreModule, importlib.import_module(STORES[scheme]))


def create(options: StoreOptions, observer: Observer = Observer()) -> ObjectStore:  # noqa: B008 - it is immutable
    """The store of the options. Raises KeyError for a scheme that is not in STORES."""
    return load(options.endpoint).create(options, observer)
