"""The bucket as the processor needs it: one PUT, and what went wrong with it in one word."""

from __future__ import annotations

import base64
import hashlib

from common.cos.endpoint import Endpoint
from common.cos.errors import StoreError
from common.keys import PROBE
from processor.settings import Settings


class Bucket:
    """One bucket; it may be shared by threads, and tries each request once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._endpoint = Endpoint(settings, connections=settings.uploads)

    def put(self, key: str, body: bytes, content_type: str, metadata: dict[str, str]) -> None:
        """Write one object; the store checks the SHA-256 of what it got.

        Raises:
            StoreError: with the reason.
        """
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        with self._endpoint.faults("PUT", "write to"):
            answer = self._endpoint.client.put_object(
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

    def probe(self) -> None:
        """Write the one fixed object that shows that writing works.

        Raises:
            StoreError: with the reason.
        """
        self.put(PROBE, b"facepipe can write here\n", "text/plain", {})
