"""IBM Cloud Object Storage, and every other store that speaks S3."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import urllib.parse
from collections.abc import Iterator
from typing import Any, Literal

from common.protocol.keys import PROBE
from common.store.base import (
    FOR_A_PERSON,
    Listed,
    NewObject,
    Observer,
    StoreError,
    StoreOptions,
)
from common.store.s3.endpoint import Endpoint
from common.store.s3.fast_put import FastPut
from common.store.s3.lifecycle import Lifecycle

log = logging.getLogger(__name__)

BATCH = 1000  # keys in one DeleteObjects, and in one page of a listing, at most
CHUNK = 64 * 1024
# Characters that XML 1.0 (section 2.2) cannot carry, and so no DeleteObjects.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PROBE_BODY = b"facepipe can write here\n"


class S3Body:
    """An object that is being read."""

    def __init__(self, answer: dict[str, Any], endpoint: Endpoint, observer: Observer) -> None:
        self.facts: dict[str, str] = dict(answer.get("Metadata") or {})
        self.size = int(answer["ContentLength"])
        self._stream = answer["Body"]
        self._endpoint = endpoint
        self._observer = observer

    def chunks(self) -> Iterator[bytes]:
        with self._observer.count_failure(), self._endpoint.translate_errors("GET", "read"):
            yield from self._stream.iter_chunks(CHUNK)

    def read(self) -> bytes:
        return b"".join(self.chunks())

    def close(self) -> None:
        self._stream.close()


class S3Store:
    """One bucket. Objects are written past the SDK where the store takes that: `FastPut`."""

    def __init__(self, options: StoreOptions, observer: Observer) -> None:
        self.name = options.bucket
        self._observer = observer
        self._endpoint = Endpoint(options)
        self._client = self._endpoint.client
        self._fast = FastPut(options, self._endpoint)
        self._by_sdk = self._endpoint.proxied
        self._conditional = False  # whether the store heeds If-None-Match; `probe` finds out
        self._lifecycle = Lifecycle(self._endpoint, options.bucket, observer)

    @contextlib.contextmanager
    def _request(
        self, kind: str, what: str, right: str, not_found: str = "no_bucket"
    ) -> Iterator[None]:
        """One request, counted, and its faults as StoreError."""
        with self._observer.count(kind), self._endpoint.translate_errors(what, right, not_found):
            yield

    def check(self) -> None:
        self._page({"MaxKeys": 1})

    def probe(self) -> None:
        """Also find out what the store takes.

        The SDK writes objects where our own request is refused. Where the store does not heed
        If-None-Match, one more request finds out whether an object is there.
        """
        try:
            self.put(self._probe_object)
        except StoreError as error:
            if self._by_sdk or error.reason not in FOR_A_PERSON:
                raise
            self.put_by_sdk(self._probe_object)
            self._by_sdk = True
            log.warning("using the SDK for PUT requests, which is slower: %s", error)
        self._conditional = not self._by_sdk and self._heeds_conditions()

    def _heeds_conditions(self) -> bool:
        """Whether the store keeps the probe, which is there, from being written once more."""
        try:
            self._fast(self._probe_object, replace=False)
        except StoreError as error:
            if error.reason not in ("exists", *FOR_A_PERSON):
                raise
            return error.reason == "exists"
        return False

    @property
    def _probe_object(self) -> NewObject:
        digest = hashlib.sha256(_PROBE_BODY).hexdigest()
        return NewObject(PROBE, _PROBE_BODY, "text/plain", {}, digest)

    def put(self, new: NewObject, replace: bool = True) -> None:
        if replace:
            self._write(new)
        elif self._conditional:
            self._write_once(new)
        else:
            found = self._find(new)
            if found == "other":
                raise _other_bytes(new)
            if found != "same":
                self._write(new)

    def _write_once(self, new: NewObject) -> None:
        """Write the object where the store keeps one that is there.

        The object that is there may be this very one, written by a request whose answer was lost.
        Whoever may not read cannot tell, and takes it for that.
        """
        try:
            self._write(new, replace=False)
        except StoreError as error:
            if error.reason != "exists":
                raise
            found = self._find(new)
            if found == "missing":
                raise StoreError(
                    "server", f"{new.key} existed before the PUT, and is gone"
                ) from None
            if found == "other":
                raise _other_bytes(new) from None

    def _write(self, new: NewObject, replace: bool = True) -> None:
        if self._by_sdk:
            self.put_by_sdk(new)
        else:
            with self._observer.count("put"):
                self._fast(new, replace)

    def _find(self, new: NewObject) -> Literal["missing", "same", "other", "unreadable"]:
        """What is stored under the key of an object.

        Size and ETag are compared, and only then the bytes: an ETag is the MD5 in most stores.
        """
        try:
            with self._request("head", "HEAD", "read", not_found="missing"):
                answer = self._client.head_object(Bucket=self.name, Key=new.key)
                size, tag = int(answer["ContentLength"]), str(answer.get("ETag", "")).strip('"')
            if size != len(new.body):
                return "other"
            if tag == hashlib.md5(new.body, usedforsecurity=False).hexdigest():
                return "same"
            return "same" if self.get(new.key).read() == new.body else "other"
        except StoreError as error:
            if error.reason == "missing":
                return "missing"
            if error.reason == "denied":
                return "unreadable"
            raise

    def put_by_sdk(self, new: NewObject) -> None:
        with self._request("put", "PUT", "write to"):
            answer = self._client.put_object(
                Bucket=self.name,
                Key=new.key,
                Body=new.body,
                ContentType=new.content_type,
                Metadata=new.metadata,
                ChecksumSHA256=new.checksum,
            )
        if "ETag" not in answer:
            raise self._endpoint.errors.no_etag()

    @property
    def puts_by_sdk(self) -> bool:
        """Whether objects are written by the SDK: behind a proxy, or where nothing else works."""
        return self._by_sdk

    def pages(self, prefix: str = "", after: str = "") -> Iterator[list[Listed]]:
        request = {"Prefix": prefix, **({"StartAfter": after} if after else {})}
        return (found for found, _ in self._pages(request))

    def level(self, prefix: str = "") -> Iterator[tuple[list[Listed], list[str]]]:
        return self._pages({"Prefix": prefix, "Delimiter": "/"})

    def _pages(self, request: dict[str, Any]) -> Iterator[tuple[list[Listed], list[str]]]:
        onward: dict[str, Any] = {}
        while True:
            found, prefixes, token = self._page({**request, "MaxKeys": BATCH, **onward})
            yield found, prefixes
            if token is None:
                return
            onward = {"ContinuationToken": token}

    def _page(self, request: dict[str, Any]) -> tuple[list[Listed], list[str], str | None]:
        with self._request("list", "listing", "list"):
            answer: dict[str, Any] = self._client.list_objects_v2(Bucket=self.name, **request)
            if "KeyCount" not in answer and "Name" not in answer:
                raise LookupError("no listing")
            found = [
                Listed(one["Key"], int(one["Size"]), round(one["LastModified"].timestamp() * 1000))
                for one in answer.get("Contents", ())
            ]
            prefixes = [one["Prefix"] for one in answer.get("CommonPrefixes", ())]
            onward = answer["NextContinuationToken"] if answer.get("IsTruncated") else None
            return found, prefixes, onward

    def get(self, key: str) -> S3Body:
        with self._request("get", "GET", "read", not_found="missing"):
            return S3Body(
                self._client.get_object(Bucket=self.name, Key=key), self._endpoint, self._observer
            )

    def head(self, key: str) -> dict[str, str]:
        with self._request("head", "HEAD", "read", not_found="missing"):
            answer = self._client.head_object(Bucket=self.name, Key=key)
        return dict(answer.get("Metadata") or {})

    def delete(self, keys: list[str]) -> dict[str, str]:
        failed: dict[str, str] = {}
        plain = [key for key in keys if not _NOT_XML.search(key)]
        for start in range(0, len(plain), BATCH):
            failed |= self._delete_batch(plain[start : start + BATCH])
        for key in set(keys) - set(plain):
            failed |= self._delete_one(key)
        return failed

    def _delete_batch(self, keys: list[str]) -> dict[str, str]:
        request = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        with self._request("delete", "DELETE", "delete from"):
            answer = self._client.delete_objects(Bucket=self.name, Delete=request)
            refused = {one["Key"]: str(one.get("Code", "")) for one in answer.get("Errors", ())}
        return {
            key: "denied" if code == "AccessDenied" else "server"
            for key, code in refused.items()
            if code != "NoSuchKey"
        }

    def _delete_one(self, key: str) -> dict[str, str]:
        try:
            with self._request("delete", "DELETE", "delete from", not_found="missing"):
                self._client.delete_object(Bucket=self.name, Key=key)
        except StoreError as error:
            if error.reason in ("refused", "not_s3"):  # of this key, which few stores take at all
                return {key: "refused"}
            if error.reason != "missing":
                raise
        return {}

    def expire_after(self, days: int) -> bool:
        """By a lifecycle rule of our own in the bucket's configuration."""
        return self._lifecycle.keep(days)

    def expiry(self) -> int | None:
        """By our lifecycle rule; -1 if it was changed by somebody else."""
        return self._lifecycle.days()

    def close(self) -> None:
        self._fast.close()
        self._client.close()


def _other_bytes(new: NewObject) -> StoreError:
    return StoreError("exists", f"{new.key} is already stored with other content")


def create(options: StoreOptions, observer: Observer) -> S3Store:
    return S3Store(options, observer)


def find_problems(options: StoreOptions) -> Iterator[str]:
    if bool(options.access_key_id) != bool(options.secret_access_key):
        yield "COS_ACCESS_KEY_ID and COS_SECRET_ACCESS_KEY go together: set both"
    if options.api_key and options.access_key_id:
        yield "COS_API_KEY (IAM) and COS_ACCESS_KEY_ID (HMAC) are both set: choose one"
    if not options.api_key and not options.access_key_id and not options.secret_access_key:
        yield (
            "no credentials: set COS_API_KEY (IAM), or COS_ACCESS_KEY_ID and"
            " COS_SECRET_ACCESS_KEY (HMAC); for a file, use NAME_FILE"
        )
    if options.api_key and _in_the_open(options.endpoint):
        yield "COS_ENDPOINT must be https with COS_API_KEY: tokens are never sent unencrypted"
    if options.api_key and _in_the_open(options.auth_endpoint):
        yield "COS_AUTH_ENDPOINT must be https: API keys are never sent unencrypted"


def _in_the_open(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1")
