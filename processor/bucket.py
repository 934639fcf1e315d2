"""The boundary to IBM Cloud Object Storage: one PUT, and what went wrong with it in one word."""

from __future__ import annotations

import base64
import hashlib
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

from processor.errors import StoreError
from processor.iam import Tokens
from processor.keys import PROBE
from processor.settings import Settings

CONNECT_TIMEOUT, READ_TIMEOUT = 5, 15  # seconds; the SDK's 60 would hold a worker for minutes

_BY_CODE = {
    "NoSuchBucket": "no_bucket",
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


class Bucket:
    """One bucket. Its client may be shared by threads; each request is tried once."""

    def __init__(self, settings: Settings) -> None:
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
        self._client = ibm_boto3.client(
            "s3",
            endpoint_url=settings.endpoint,
            config=Config(
                signature_version="s3v4" if settings.hmac else "oauth",
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=READ_TIMEOUT,
                retries={"mode": "standard", "total_max_attempts": 1},
                max_pool_connections=settings.uploads,
                tcp_keepalive=True,
                s3={"addressing_style": "path"},
            ),
            **options,
        )

    def put(self, key: str, body: bytes, content_type: str, metadata: dict[str, str]) -> None:
        """Write one object; the store checks the SHA-256 of what it got.

        Raises:
            StoreError: with the reason.
        """
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        try:
            answer = self._client.put_object(
                Bucket=self._settings.bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                Metadata=metadata,
                ChecksumSHA256=digest,
            )
            if "ETag" not in answer:
                text = "it answers, but not as S3 does: no ETag"
                raise StoreError("not_s3", f"COS_ENDPOINT={self._settings.endpoint}: {text}")
        except ClientError as error:
            failure = self._answered(error)
            if failure.reason == "denied" and self._tokens is not None:
                self._tokens.forget()
            raise failure from None
        except (ReadTimeoutError, ConnectTimeoutError):
            raise StoreError("timeout", f"{self._settings.endpoint} does not answer") from None
        except SSLError as error:
            text = f"no TLS with {self._settings.endpoint}: {error}"
            raise StoreError("unreachable", text) from None
        except EndpointConnectionError:
            text = f"nothing listens at COS_ENDPOINT={self._settings.endpoint}"
            raise StoreError("unreachable", text) from None
        except ParamValidationError as error:
            raise StoreError("refused", f"the SDK does not take this request: {error}") from None
        except BotoCoreError as error:
            raise StoreError("unreachable", f"the request broke: {error}") from None

    def probe(self) -> None:
        """Write the one fixed object that shows that writing works.

        Raises:
            StoreError: with the reason.
        """
        self.put(PROBE, b"facepipe can write here\n", "text/plain", {})

    def _answered(self, error: ClientError) -> StoreError:
        answer = error.response.get("Error", {})
        code, message = str(answer.get("Code", "")), str(answer.get("Message", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        other = "server" if status >= 500 or status == 0 else "not_s3"
        reason = _BY_CODE.get(code) or _BY_STATUS.get(status) or other
        return StoreError(reason, self._sentence(reason, status, code, message))

    def _sentence(self, reason: str, status: int, code: str, message: str) -> str:
        settings = self._settings
        said = f"the store says {status} {code} {message}".rstrip()
        if reason == "no_bucket":
            return f"there is no bucket COS_BUCKET={settings.bucket} at {settings.endpoint}; {said}"
        if reason in ("refused", "not_s3"):
            return f"COS_ENDPOINT={settings.endpoint} does not take a PUT; {said}"
        if reason == "denied" and code == "InvalidAccessKeyId":
            return f"COS_ACCESS_KEY_ID is not known; {said}"
        if reason == "denied" and code == "SignatureDoesNotMatch":
            return f"COS_SECRET_ACCESS_KEY is not that of COS_ACCESS_KEY_ID; {said}"
        if reason == "denied":
            named = "COS_ACCESS_KEY_ID" if settings.hmac else "COS_API_KEY"
            return f"{named} has no right to write to COS_BUCKET={settings.bucket}; {said}"
        return said
