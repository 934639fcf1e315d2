"""The pages of an index, one after the other."""

from __future__ import annotations

from gallery.index.index import Index
from gallery.index.query import Filter, Order


def paged(index: Index, asked: Filter, order: Order, size: int) -> list[str]:
    """Refs of all that is asked for, in their order, read in pages of this size."""
    found: list[str] = []
    after = None
    while True:
        page = index.page(asked, order, after, size)
        found += [one.ref for one in page.entries]
        after = page.next
        if after is None:
            return found
