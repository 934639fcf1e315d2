"""The boundary to the IBM COS SDK: a client for one endpoint, and its faults in one word each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import ibm_boto3
from ibm_botocore.client import Config
from ibm_botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ParamValidationError,
    ReadTimeoutError,
    SSLError,
)
from ibm_botocore.parsers import ResponseParserError

from common.cos.errors import StoreError
from common.cos.iam import Tokens
from common.cos.settings import CosSettings

CONNECT_TIMEOUT, READ_TIMEOUT = 5, 15  # seconds; the SDK's 60 would hold a worker for minutes

_BY_CODE = {
    "NoSuchBucket": "no_bucket",
    "NoSuchKey": "missing",
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
    409: "server",  # another operation on the bucket is under way
    429: "slow_down",
    503: "slow_down",
}


class Endpoint:
    """`client` may be shared by threads; each request is tried once, within `faults()`."""

    def __init__(self, settings: CosSettings, connections: int) -> None:
        self._settings = settings
        self._tokens: Tokens | None = None
        options: dict[str, Any] = {}
        if settings.hmac:
            options["aws_access_key_id"] = settings.access_key_id
            options["aws_secret_access_key"] = settings.secret_access_key
        else:
            self._tokens = Tokens(settings.api_key, settings.auth_endpoint)
            options["token_manager"] = self._tokens
            options["ibm_service_instance_id"] = settings.instance_crn or None
        self.client: Any = ibm_boto3.client(
            "s3",
            endpoint_url=settings.endpoint,
            config=Config(
                signature_version="s3v4" if settings.hmac else "oauth",
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=READ_TIMEOUT,
                retries={"mode": "standard", "total_max_attempts": 1},
                max_pool_connections=connections,
                tcp_keepalive=True,
                s3={"addressing_style": "path"},
            ),
            **options,
        )

    @contextlib.contextmanager
    def faults(self, what: str, right: str, not_found: str = "no_bucket") -> Iterator[None]:
        """Tell what goes wrong inside as a StoreError.

        what: the request, as in "does not take a PUT". right: what it needs a right to, as in
        "write to". not_found: the reason of a 404 that says nothing more.
        """
        endpoint = self._settings.endpoint
        try:
            yield
        except ClientError as error:
            failure = self._answered(error, what, right, not_found)
            if failure.reason == "denied" and self._tokens is not None:
                self._tokens.forget()
            raise failure from None
        except (ReadTimeoutError, ConnectTimeoutError):
            raise StoreError("timeout", f"{endpoint} does not answer") from None
        except SSLError as error:
            raise StoreError("unreachable", f"no TLS with {endpoint}: {error}") from None
        except EndpointConnectionError:
            text = f"nothing listens at COS_ENDPOINT={endpoint}"
            raise StoreError("unreachable", text) from None
        except ParamValidationError as error:
            raise StoreError("refused", f"the SDK does not take this request: {error}") from None
        except BotoCoreError as error:
            raise StoreError("unreachable", f"the request broke: {error}") from None
        except (ResponseParserError, LookupError, TypeError, ValueError) as error:
            # Such as a page of a proxy's in place of a listing, or an answer that lacks a part.
            text = f"what answers at {endpoint} does not answer as S3 does ({type(error).__name__})"
            raise StoreError("not_s3", text) from None

    def _answered(self, error: ClientError, what: str, right: str, not_found: str) -> StoreError:
        answer = error.response.get("Error", {})
        code, message = str(answer.get("Code", "")), str(answer.get("Message", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        other = "server" if status >= 500 or status == 0 else "not_s3"
        by_status = {**_BY_STATUS, 404: not_found}
        reason = _BY_CODE.get(code) or by_status.get(status) or other
        said = f"the store says {status} {code} {message}".rstrip()
        return StoreError(reason, self._sentence(reason, code, said, what, right))

    def _sentence(self, reason: str, code: str, said: str, what: str, right: str) -> str:
        settings = self._settings
        if reason == "no_bucket":
            return f"there is no bucket COS_BUCKET={settings.bucket} at {settings.endpoint}; {said}"
        if reason in ("refused", "not_s3"):
            return f"COS_ENDPOINT={settings.endpoint} does not take a {what}; {said}"
        if reason == "denied" and code == "InvalidAccessKeyId":
            return f"COS_ACCESS_KEY_ID is not known; {said}"
        if reason == "denied" and code == "SignatureDoesNotMatch":
            return f"COS_SECRET_ACCESS_KEY is not that of COS_ACCESS_KEY_ID; {said}"
        if reason == "denied":
            named = "COS_ACCESS_KEY_ID" if settings.hmac else "COS_API_KEY"
            return f"{named} has no right to {right} COS_BUCKET={settings.bucket}; {said}"
        return said
