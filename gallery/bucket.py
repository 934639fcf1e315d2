"""The bucket as the gallery needs it: list, read, delete; what goes wrong is one word."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from common.store.base import StoreError
from common.store.s3.endpoint import Endpoint
from common.store.s3.lifecycle import Lifecycle
from gallery import metrics
from gallery.settings import GallerySettings

BATCH = 1000  # keys in one DeleteObjects, and in one page of a listing, at most
CHUNK = 64 * 1024
# Characters that XML 1.0 (section 2.2) cannot carry, and so no DeleteObjects.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclasses.dataclass(frozen=True, slots=True)
class Listed:
    """An object in a listing; `stored`: unix milliseconds; `size`: bytes."""

    key: str
    size: int
    stored: int


@contextlib.contextmanager
def counted() -> Iterator[None]:
    """Count what fails."""
    try:
        yield
    except StoreError as error:
        metrics.FAILURES.labels(error.reason).inc()
        raise


class Body:
    """An object that is being read: its user metadata, and its bytes, once."""

    def __init__(self, answer: dict[str, Any], endpoint: Endpoint) -> None:
        self.facts: dict[str, str] = dict(answer.get("Metadata") or {})
        self.size = int(answer["ContentLength"])
        self._stream = answer["Body"]
        self._endpoint = endpoint

    def chunks(self) -> Iterator[bytes]:
        """Raises StoreError when the rest does not come."""
        with counted(), self._endpoint.faults("GET", "read"):
            yield from self._stream.iter_chunks(CHUNK)

    def read(self) -> bytes:
        return b"".join(self.chunks())

    def close(self) -> None:
        self._stream.close()


class GalleryBucket:
    """One bucket; it may be shared by threads, and tries each request once.

    Every method raises StoreError, with its reason: `missing` for an object that is not there.
    """

    def __init__(self, settings: GallerySettings) -> None:
        self.name = settings.bucket
        self._endpoint = Endpoint(settings, connections=settings.downloads + 2)
        self._client = self._endpoint.client
        self.lifecycle = Lifecycle(self._endpoint, settings.bucket)

    @contextlib.contextmanager
    def _asked(
        self, kind: str, what: str, right: str, not_found: str = "no_bucket"
    ) -> Iterator[None]:
        """One request, counted, and its faults as StoreError."""
        metrics.REQUESTS.labels(kind).inc()
        with counted(), self._endpoint.faults(what, right, not_found):
            yield

    def check(self) -> None:
        """Show that the bucket is there and may be read."""
        self._page({"MaxKeys": 1})

    def pages(self, prefix: str = "") -> Iterator[list[Listed]]:
        """All objects under a prefix, page by page, as S3 lists them: by key, upwards."""
        more: dict[str, Any] = {"Prefix": prefix, "MaxKeys": BATCH}
        while True:
            found, onward = self._page(more)
            yield found
            if onward is None:
                return
            more["ContinuationToken"] = onward

    def _page(self, request: dict[str, Any]) -> tuple[list[Listed], str | None]:
        with self._asked("list", "listing", "list"):
            answer: dict[str, Any] = self._client.list_objects_v2(Bucket=self.name, **request)
            if "KeyCount" not in answer and "Name" not in answer:
                raise LookupError("no listing")
            found = [
                Listed(one["Key"], int(one["Size"]), round(one["LastModified"].timestamp() * 1000))
                for one in answer.get("Contents", ())
            ]
            return found, answer["NextContinuationToken"] if answer.get("IsTruncated") else None

    def get(self, key: str) -> Body:
        """Begin to read an object; close it if it is not read to its end."""
        with self._asked("get", "GET", "read", not_found="missing"):
            return Body(self._client.get_object(Bucket=self.name, Key=key), self._endpoint)

    def head(self, key: str) -> dict[str, str]:
        """An object's user metadata."""
        with self._asked("head", "HEAD", "read", not_found="missing"):
            answer = self._client.head_object(Bucket=self.name, Key=key)
        return dict(answer.get("Metadata") or {})

    def put(self, key: str, body: bytes, content_type: str) -> None:
        with self._asked("put", "PUT", "write to"):
            self._client.put_object(Bucket=self.name, Key=key, Body=body, ContentType=content_type)

    def delete(self, keys: list[str]) -> dict[str, str]:
        """Delete objects, whether they are there or not; those that were not, with the reason."""
        failed: dict[str, str] = {}
        plain = [key for key in keys if not _NOT_XML.search(key)]
        for start in range(0, len(plain), BATCH):
            failed |= self._delete_batch(plain[start : start + BATCH])
        for key in set(keys) - set(plain):
            failed |= self._delete_one(key)
        return failed

    def _delete_batch(self, keys: list[str]) -> dict[str, str]:
        request = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        with self._asked("delete", "DELETE", "delete from"):
            answer = self._client.delete_objects(Bucket=self.name, Delete=request)
            refused = {one["Key"]: str(one.get("Code", "")) for one in answer.get("Errors", ())}
        return {
            key: "denied" if code == "AccessDenied" else "server"
            for key, code in refused.items()
            if code != "NoSuchKey"
        }

    def _delete_one(self, key: str) -> dict[str, str]:
        try:
            with self._asked("delete", "DELETE", "delete from", not_found="missing"):
                self._client.delete_object(Bucket=self.name, Key=key)
        except StoreError as error:
            if error.reason in ("refused", "not_s3"):  # of this key, which few stores take at all
                return {key: "refused"}
            if error.reason != "missing":
                raise
        return {}
