"""The reason and the sentence of each StoreError, whether the SDK or `FastPut` sent the request."""

from __future__ import annotations

import html
import http.client
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any, NamedTuple

from common.store.base import StoreError, StoreOptions

_BY_CODE = {
    "NoSuchBucket": "no_bucket",
    "NoSuchKey": "missing",
    "NotImplemented": "not_s3",
    "PreconditionFailed": "exists",
    "SlowDown": "slow_down",
    "RequestTimeTooSkewed": "clock",
    "RequestTimeout": "timeout",
    "BadDigest": "altered",
    "IncompleteBody": "altered",
    "InvalidDigest": "altered",
    "XAmzContentSHA256Mismatch": "altered",
    "XAmzContentChecksumMismatch": "altered",
    # About this one object; all else that a store may say is about the store, and faces are held.
    "EntityTooLarge": "refused",
    "InvalidArgument": "refused",
    "KeyTooLong": "refused",
    "KeyTooLongError": "refused",
    "MetadataTooLarge": "refused",
    "RequestHeaderSectionTooLarge": "refused",
}
_BY_STATUS = {
    401: "denied",
    403: "denied",
    404: "no_bucket",
    408: "timeout",
    413: "refused",
    431: "refused",  # the headers, and so the metadata, are too large
    307: "server",  # such as of a bucket that was made a short while ago
    412: "exists",
    501: "not_s3",
    409: "server",  # another operation on the bucket is under way
    429: "slow_down",
    503: "slow_down",
}
_ELEMENT = re.compile(r"<(Code|Message|Region|Endpoint)>([^<]{0,1000})</\1>")


class Answer(NamedTuple):
    """An error that the store answered."""

    status: int  # of HTTP
    code: str  # of S3: one word
    message: str
    region: str = ""  # that the store wants signatures to name
    place: str = ""  # that a redirect names: a URL or a host

    @property
    def is_about_checksum(self) -> bool:
        """Whether it may mean the headers of a checksum that the store does not know."""
        if self.status == 501:
            return True
        unsure = self.code in ("400", "InvalidArgument", "InvalidRequest", "NotImplemented")
        return self.status == 400 and (unsure or "checksum" in self.message.lower())


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """An error's answer, with the status as its code if its body is not S3's XML.

    headers: by name, in any case.
    """
    text = body.decode("utf-8", "replace")
    said = {name: html.unescape(value) for name, value in reversed(_ELEMENT.findall(text))}
    if "</Error>" not in text or "Code" not in said:
        said = {"Code": str(status), "Message": http.client.responses.get(status, "")}
    return to_answer(status, headers, said)


def to_answer(status: int, headers: Mapping[str, str], said: Mapping[str, Any]) -> Answer:
    """An error's answer.

    headers: by name, in lower case or in any. said: the elements of the error's XML; for an empty
    element the SDK has None.
    """
    code, message, region, place = (
        str(said.get(name) or "") for name in ("Code", "Message", "Region", "Endpoint")
    )
    region = headers.get("x-amz-bucket-region") or region
    return Answer(status, code, message, region, place or headers.get("location", ""))


class StoreErrors:
    """The errors of one bucket."""

    def __init__(self, options: StoreOptions) -> None:
        self._options = options

    def from_answer(
        self, answer: Answer, what: str, right: str, not_found: str = "no_bucket"
    ) -> StoreError:
        """For the parameters see `Endpoint.translate_errors`."""
        other = "server" if answer.status >= 500 or answer.status == 0 else "not_s3"
        by_status = {**_BY_STATUS, 404: not_found}
        reason = _BY_CODE.get(answer.code) or by_status.get(answer.status) or other
        return StoreError(reason, self._sentence(reason, answer, what, right))

    def no_answer(self) -> StoreError:
        return StoreError("timeout", f"{self._options.endpoint} does not answer")

    def no_tls(self, error: Exception) -> StoreError:
        return StoreError("unreachable", f"no TLS with {self._options.endpoint}: {error}")

    def nothing_listens(self) -> StoreError:
        text = f"nothing is listening at COS_ENDPOINT={self._options.endpoint}"
        return StoreError("unreachable", text)

    def broken_request(self, error: Exception) -> StoreError:
        return StoreError("unreachable", f"the request was cut short: {error}")

    def not_s3(self, error: Exception) -> StoreError:
        """For an answer such as a proxy's HTML page, or one that lacks a part."""
        endpoint, kind = self._options.endpoint, type(error).__name__
        return StoreError("not_s3", f"the server at {endpoint} does not respond like S3 ({kind})")

    def no_etag(self) -> StoreError:
        text = "the server does not respond like S3: no ETag"
        return StoreError("not_s3", f"COS_ENDPOINT={self._options.endpoint}: {text}")

    def _sentence(self, reason: str, answer: Answer, what: str, right: str) -> str:
        options, code = self._options, answer.code
        said = f"the store says {answer.status} {code} {answer.message}".rstrip()
        if answer.status == 307:
            place = answer.place or "another address"
            return f"COS_ENDPOINT={options.endpoint} redirects to {place} for now; {said}"
        if answer.status in (301, 308) and answer.place:
            place = self._endpoint_of(answer.place)
            return f"COS_BUCKET={options.bucket} is elsewhere: set COS_ENDPOINT={place}; {said}"
        if code == "AuthorizationHeaderMalformed":
            return f"COS_REGION is not the region of COS_ENDPOINT={options.endpoint}; {said}"
        if reason == "no_bucket":
            return f"there is no bucket COS_BUCKET={options.bucket} at {options.endpoint}; {said}"
        if reason in ("refused", "not_s3"):
            return f"COS_ENDPOINT={options.endpoint} does not accept a {what}; {said}"
        if reason == "denied" and code == "InvalidAccessKeyId":
            return f"COS_ACCESS_KEY_ID is unknown; {said}"
        if reason == "denied" and code == "SignatureDoesNotMatch":
            return f"COS_SECRET_ACCESS_KEY does not match COS_ACCESS_KEY_ID; {said}"
        if reason == "denied":
            named = "COS_ACCESS_KEY_ID" if options.hmac else "COS_API_KEY"
            return f"{named} is not allowed to {right} COS_BUCKET={options.bucket}; {said}"
        return said

    def _endpoint_of(self, place: str) -> str:
        """The endpoint of a redirect's host or URL, without the bucket's name before the host."""
        scheme = urllib.parse.urlsplit(self._options.endpoint).scheme
        parts = urllib.parse.urlsplit(place if "://" in place else f"{scheme}://{place}")
        return f"{parts.scheme}://{parts.netloc.removeprefix(f'{self._options.bucket}.')}"
