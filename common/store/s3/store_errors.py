"""What went wrong with a request to the bucket, as a StoreError, by whichever way it was sent."""

from __future__ import annotations

import html
import http.client
import re
from typing import NamedTuple

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
    412: "exists",
    501: "not_s3",
    409: "server",  # another operation on the bucket is under way
    429: "slow_down",
    503: "slow_down",
}
_CODE = re.compile(r"<Code>([^<]{0,200})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{0,1000})</Message>")


class Answer(NamedTuple):
    """What the store said in place of doing as it was asked."""

    status: int  # of HTTP
    code: str  # of S3: one word
    message: str


def parse_error_body(status: int, body: bytes) -> Answer:
    """The answer in an error's body; with the status as its code if that is not S3's XML."""
    text = body.decode("utf-8", "replace")
    code, message = _CODE.search(text), _MESSAGE.search(text)
    if "</Error>" not in text or code is None:
        return Answer(status, str(status), http.client.responses.get(status, ""))
    return Answer(status, *(html.unescape(found[1]) if found else "" for found in (code, message)))


class StoreErrors:
    """The sentences, for one bucket."""

    def __init__(self, options: StoreOptions) -> None:
        self._options = options

    def answered(
        self, answer: Answer, what: str, right: str, not_found: str = "no_bucket"
    ) -> StoreError:
        """For the parameters see `Endpoint.faults`."""
        other = "server" if answer.status >= 500 or answer.status == 0 else "not_s3"
        by_status = {**_BY_STATUS, 404: not_found}
        reason = _BY_CODE.get(answer.code) or by_status.get(answer.status) or other
        said = f"the store says {answer.status} {answer.code} {answer.message}".rstrip()
        return StoreError(reason, self._sentence(reason, answer.code, said, what, right))

    def silent(self) -> StoreError:
        return StoreError("timeout", f"{self._options.endpoint} does not answer")

    def no_tls(self, error: Exception) -> StoreError:
        return StoreError("unreachable", f"no TLS with {self._options.endpoint}: {error}")

    def absent(self) -> StoreError:
        text = f"nothing listens at COS_ENDPOINT={self._options.endpoint}"
        return StoreError("unreachable", text)

    def broken(self, error: Exception) -> StoreError:
        return StoreError("unreachable", f"the request broke: {error}")

    def strange(self, error: Exception) -> StoreError:
        """Such as a page of a proxy's in place of a listing, or an answer that lacks a part."""
        endpoint, kind = self._options.endpoint, type(error).__name__
        return StoreError(
            "not_s3", f"what answers at {endpoint} does not answer as S3 does ({kind})"
        )

    def no_etag(self) -> StoreError:
        text = "it answers, but not as S3 does: no ETag"
        return StoreError("not_s3", f"COS_ENDPOINT={self._options.endpoint}: {text}")

    def _sentence(self, reason: str, code: str, said: str, what: str, right: str) -> str:
        options = self._options
        if reason == "no_bucket":
            return f"there is no bucket COS_BUCKET={options.bucket} at {options.endpoint}; {said}"
        if reason in ("refused", "not_s3"):
            return f"COS_ENDPOINT={options.endpoint} does not take a {what}; {said}"
        if reason == "denied" and code == "InvalidAccessKeyId":
            return f"COS_ACCESS_KEY_ID is not known; {said}"
        if reason == "denied" and code == "SignatureDoesNotMatch":
            return f"COS_SECRET_ACCESS_KEY is not that of COS_ACCESS_KEY_ID; {said}"
        if reason == "denied":
            named = "COS_ACCESS_KEY_ID" if options.hmac else "COS_API_KEY"
            return f"{named} has no right to {right} COS_BUCKET={options.bucket}; {said}"
        return said
