"""A folder as the bucket."""

from __future__ import annotations

from pathlib import Path

from testing.store.nanio import BUCKET, reached_at


class BucketFolder:
    """`folder` is made, with the bucket in it; `settings` are those of a service."""

    def __init__(self, folder: Path) -> None:
        (folder / BUCKET).mkdir(parents=True)
        self.settings = reached_at(f"file://{folder}")
