"""The bucket as the processor needs it: one PUT, and what went wrong with it in one word."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Callable

from common.cos.endpoint import Endpoint
from common.cos.errors import FOR_A_PERSON, StoreError
from common.keys import PROBE
from processor.put import Put
from processor.settings import Settings

log = logging.getLogger(__name__)

_PROBED = b"facepipe can write here\n"


class Bucket:
    """One bucket; it may be shared by threads, and tries each request once.

    `put(key, body, content_type, metadata, sha256)` writes one object, and the store checks the
    SHA-256 of what it got, given in hex. It raises StoreError, with the reason.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._endpoint = Endpoint(settings, connections=settings.uploads)
        self.put: Callable[[str, bytes, str, dict[str, str], str], None] = self._put_by_sdk
        if not self._endpoint.proxied:
            self.put = Put(settings, self._endpoint)

    def probe(self) -> None:
        """Write the one fixed object that shows that writing works.

        Should the store not take our own request, the SDK's word counts, and it does the work.

        Raises:
            StoreError: with the reason.
        """
        try:
            self._probe()
        except StoreError as error:
            if self.put == self._put_by_sdk or error.reason not in FOR_A_PERSON:
                raise
            own, self.put = self.put, self._put_by_sdk
            try:
                self._probe()
            except StoreError:
                self.put = own
                raise
            log.warning("PUTs go by the SDK, which is slower: %s", error)

    def _probe(self) -> None:
        self.put(PROBE, _PROBED, "text/plain", {}, hashlib.sha256(_PROBED).hexdigest())

    def _put_by_sdk(
        self, key: str, body: bytes, content_type: str, metadata: dict[str, str], sha256: str
    ) -> None:
        with self._endpoint.faults("PUT", "write to"):
            answer = self._endpoint.client.put_object(
                Bucket=self._settings.bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                Metadata=metadata,
                ChecksumSHA256=base64.b64encode(bytes.fromhex(sha256)).decode(),
            )
        if "ETag" not in answer:
            raise self._endpoint.says.no_etag()
