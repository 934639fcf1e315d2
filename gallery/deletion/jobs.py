"""What is to be deleted, written down in the bucket until it is done: whatever ends the gallery."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
from typing import Any

from common.protocol.keys import OWN
from common.runtime.logs import RateLimitedLogger
from common.store.base import ObjectStore, StoreError, new_json
from gallery.index.query import Filter

_limited_log = RateLimitedLogger(logging.getLogger(__name__))

PREFIX = f"{OWN}pending/"
MAX_BYTES = 4_000_000
SKEW = 60_000  # milliseconds by which the store's clock and ours may differ


@dataclasses.dataclass(frozen=True)
class Selection:
    """Some entries by their refs, or all that match a filter: not both.

    `visits`: each of the refs stands for all shots of its visit, without those added since `added`
    (unix milliseconds).
    """

    refs: tuple[str, ...] = ()
    filter: Filter | None = None
    visits: bool = False
    added: int | None = None

    def until(self, added: int) -> Selection:
        """Without entries added since (unix milliseconds)."""
        if self.visits:
            return dataclasses.replace(self, added=added)
        if self.filter is None:
            return self
        return Selection(filter=dataclasses.replace(self.filter, added=added))

    def resumed(self) -> Selection:
        """The same by the store's clock: a rebuilt index knows only when each object was stored."""
        if self.filter is None or self.filter.added is None:
            return self
        stored = self.filter.added - SKEW
        return Selection(filter=dataclasses.replace(self.filter, added=None, stored=stored))


@dataclasses.dataclass
class Job:
    """state: running, done or failed; `failed`: objects that are still there, by reason."""

    id: str
    by: str
    what: str
    total: int
    done: int = 0
    state: str = "running"
    failed: dict[str, int] = dataclasses.field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def write(bucket: ObjectStore, job: Job, selection: Selection) -> None:
    """Raises StoreError: it could not be written down, and is not to be begun."""
    data = {"id": job.id, "by": job.by, "what": job.what, "total": job.total}
    data["selection"] = dataclasses.asdict(selection)
    bucket.put(new_json(f"{PREFIX}{job.id}.json", json.dumps(data).encode() + b"\n"))


def remove(bucket: ObjectStore, job: Job) -> None:
    """Raises StoreError."""
    bucket.delete([f"{PREFIX}{job.id}.json"])


def read_pending(bucket: ObjectStore) -> list[tuple[Job, Selection]]:
    """What was begun and not ended, by a gallery that is no more.

    Raises:
        StoreError: with the reason.
    """
    found = []
    for page in bucket.pages(PREFIX):
        for listed in page:
            if listed.size > MAX_BYTES:
                _limited_log.warn(
                    "too_large", f"{listed.key} is too large for a deletion; ignoring it"
                )
                continue
            try:
                with contextlib.closing(bucket.get(listed.key)) as body:
                    found.append(_read(json.loads(body.read())))
            except StoreError as error:
                if error.reason != "missing":
                    raise
            except (ValueError, TypeError, LookupError, RecursionError) as error:
                _limited_log.warn(
                    "unreadable", f"{listed.key} is not a deletion; ignoring it: {error}"
                )
    return found


def _read(data: Any) -> tuple[Job, Selection]:
    job = Job(str(data["id"]), str(data["by"]), str(data["what"]), int(data["total"]))
    chosen = data["selection"]
    if chosen["filter"] is None:
        return job, Selection(tuple(str(ref) for ref in chosen["refs"]))
    return job, Selection(filter=Filter(**chosen["filter"])).resumed()
