"""The interface of object stores, and their errors, each with a fixed reason word.

StoreError is raised at the boundary to the store; its `reason` is the word that stands in logs,
metrics and receipts too.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol


class StoreError(Exception):
    """A request to the store failed.

    reason: slow_down, timeout, unreachable, server, altered, clock, token: may mend itself;
        denied, no_bucket, not_s3: a person may have to; refused: this one request is not liked;
        missing: there is no such object; exists: another object of this key is not replaced.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


#: A region, as signatures name it.
REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")

#: At start-up, these end the service: only a person can mend them.
FOR_A_PERSON = ("denied", "no_bucket", "not_s3", "refused")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoreOptions:
    """Where a store is and how to get in; a store reads those that it has use for.

    endpoint: a URL, whose scheme tells the kind of store. region: that signatures name, if it is
    known. connections: requests at a time.
    """

    endpoint: str
    bucket: str
    api_key: str = ""
    instance_crn: str = ""
    auth_endpoint: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""
    region: str = ""
    connections: int = 10

    @property
    def hmac(self) -> bool:
        """Whether requests are signed with an access key, rather than carry a token of IAM's."""
        return bool(self.access_key_id)


def _nothing(_: str) -> None:
    pass


@dataclasses.dataclass(frozen=True)
class Observer:
    """Who counts the requests of a store: each by its kind (list, get, head, put, delete,
    lifecycle), and those that fail by the reason of their StoreError."""

    request: Callable[[str], None] = _nothing
    failure: Callable[[str], None] = _nothing

    @contextlib.contextmanager
    def count(self, kind: str) -> Iterator[None]:
        """Count one request, and its failure."""
        self.request(kind)
        with self.count_failure():
            yield

    @contextlib.contextmanager
    def count_failure(self) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            self.failure(error.reason)
            raise


class NewObject(NamedTuple):
    """An object to be written."""

    key: str
    body: bytes
    content_type: str
    metadata: dict[str, str]
    sha256: str  # of the body, in hex; the store checks it

    @property
    def checksum(self) -> str:
        """The digest in base64, as HTTP headers carry it."""
        return base64.b64encode(bytes.fromhex(self.sha256)).decode()

    @property
    def md5(self) -> str:
        """The body's Content-MD5, for stores that know no other checksum."""
        return content_md5(self.body)


def content_md5(body: bytes) -> str:
    """The MD5 of a body in base64: RFC 1864."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def new_json(key: str, body: bytes) -> NewObject:
    """An object of JSON."""
    return NewObject(key, body, "application/json", {}, hashlib.sha256(body).hexdigest())


@dataclasses.dataclass(frozen=True, slots=True)
class Listed:
    """An object in a listing; `stored`: unix milliseconds; `size`: bytes."""

    key: str
    size: int
    stored: int


class ObjectBody(Protocol):
    """An object that is being read: its user metadata, its size, and its bytes, once."""

    facts: dict[str, str]
    size: int

    def chunks(self) -> Iterator[bytes]:
        """The bytes, piece by piece. Raises StoreError when the rest does not come."""

    def read(self) -> bytes:
        """All bytes. Raises as `chunks` does."""

    def close(self) -> None:
        """Let the rest go unread."""


class ObjectStore(Protocol):
    """One bucket; may be shared by threads. Each request is tried once.

    Every method but `close` raises StoreError.
    """

    @property
    def name(self) -> str:
        """Of the bucket."""

    def check(self) -> None:
        """Show that the bucket is there and may be read."""

    def probe(self) -> None:
        """Show that the bucket may be written to: write the one fixed object `keys.PROBE`."""

    def put(self, new: NewObject, replace: bool = True) -> None:
        """Write an object whole, or not at all.

        Without `replace` an object of the same key stays: `exists` if it has other bytes; one with
        the same bytes is as good as written, so that a request may be tried again.
        """

    def get(self, key: str) -> ObjectBody:
        """Begin to read an object. `missing` if there is none."""

    def head(self, key: str) -> dict[str, str]:
        """The user metadata of an object. `missing` if there is none."""

    def pages(self, prefix: str = "", after: str = "") -> Iterator[list[Listed]]:
        """All objects under a prefix, a page of 1,000 at most at a time.

        S3 lists by key, upwards; some stores (SeaweedFS) list folder by folder: rely on neither.
        `after`: those whose keys sort behind it are enough. Name no folder by it: to SeaweedFS
        what is in that does not.
        """

    def level(self, prefix: str = "") -> Iterator[tuple[list[Listed], list[str]]]:
        """What is directly below a prefix, in pages likewise: the objects, and the prefixes up to
        the next slash that others have in common."""

    def delete(self, keys: list[str]) -> dict[str, str]:
        """Delete objects, whether they are there or not; the reason for each that failed."""

    def expire_after(self, days: int) -> bool:
        """Let the store itself delete objects after so many days (0: never).

        False if it cannot; then somebody else has to.
        """

    def expiry(self) -> int | None:
        """After how many days the store itself deletes objects, by the rule of `expire_after`.

        0: there is no such rule; None: it knows no rules.
        """

    def close(self) -> None:
        """Close the connections that are not in use."""
