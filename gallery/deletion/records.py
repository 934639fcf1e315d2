"""Who deleted what, and when: records in the bucket, written before anything is deleted.

They are never changed. They are the log that people read, and what keeps a face from coming back
that an edge box sends once more: the index reads their ids whenever it is rebuilt.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any

from common.protocol.clock import to_rfc3339
from common.protocol.keys import OWN
from common.runtime.logs import RateLimitedLogger
from common.store.base import Listed, ObjectStore, StoreError, new_json
from gallery.index.model import Entry, Record, parse_milliseconds
from gallery.index.query import FACE

if TYPE_CHECKING:
    from gallery.index.index import Index

_limited_log = RateLimitedLogger(logging.getLogger(__name__))

PREFIX = f"{OWN}deletions/"
MAX_BYTES = 16_000_000  # of a record


def write(
    bucket: ObjectStore, index: Index, job: str, by: str, what: str, gone: list[Entry]
) -> None:
    """Write down what is about to be deleted.

    Raises:
        StoreError: it could not be written, and nothing may be deleted.
    """
    at = time.time()
    # What was rejected has an id of its sender's choice, which may be that of a genuine face.
    ids = sorted({entry.id for entry in gone if entry.id and entry.kind == FACE})
    record = Record(job, round(at * 1000), by, what, ids, len(gone))
    keys = [entry.key for entry in gone]
    data = {**dataclasses.asdict(record), "at": to_rfc3339(at), "keys": keys}
    key = f"{PREFIX}{to_rfc3339(at).replace(':', '')}-{secrets.token_hex(4)}.json"
    bucket.put(new_json(key, json.dumps(data).encode() + b"\n"))
    index.bury(key, record)


def take_up(bucket: ObjectStore, index: Index) -> None:
    """Read the records that the index does not know.

    Raises:
        StoreError: with the reason.
    """
    known = index.logs()
    for page in bucket.pages(PREFIX):
        for listed in page:
            if listed.size > MAX_BYTES:
                _limited_log.warn(
                    "too_large", f"{listed.key} is too large for a record; ignoring it"
                )
            elif listed.key not in known:
                _take_up(bucket, index, listed)


def _take_up(bucket: ObjectStore, index: Index, listed: Listed) -> None:
    try:
        with contextlib.closing(bucket.get(listed.key)) as body:
            record = read_record(body.read())
    except StoreError as error:
        if error.reason != "missing":
            raise
        return
    except (ValueError, RecursionError) as error:
        _limited_log.warn("unreadable", f"{listed.key} is not a deletion record: {error}")
        return
    index.bury(listed.key, record)


def read_record(content: bytes) -> Record:
    """The record in an object's bytes.

    Raises:
        ValueError: they are none.
        RecursionError: their JSON is nested too deep.
    """
    data: Any = json.loads(content)
    if not isinstance(data, dict) or not isinstance(data.get("ids"), list):
        raise ValueError("it has no ids")
    at = parse_milliseconds(data.get("at"))
    if at is None:
        raise ValueError("it has no time")
    words = (str(data.get(name, ""))[:500] for name in ("job", "by", "what"))
    job, by, what = words
    ids = [id for id in data["ids"] if isinstance(id, str)]
    count = data.get("count")
    return Record(job, at, by, what, ids, count if type(count) is int else len(ids))


def restart_expiry(bucket: ObjectStore, older_than: int) -> None:
    """Rewrite, unchanged, the records that were stored before a time (unix milliseconds).

    A lifecycle rule for all of the bucket would delete them with the faces.

    Raises:
        StoreError: with the reason of the last one that could not be; the others have been.
    """
    failure: StoreError | None = None
    for page in bucket.pages(PREFIX):
        for listed in page:
            if listed.stored >= older_than or listed.size > MAX_BYTES:
                continue
            try:
                with contextlib.closing(bucket.get(listed.key)) as body:
                    bucket.put(new_json(listed.key, body.read()))
            except StoreError as error:
                failure = error
    if failure is not None:
        raise failure
