"""The bucket as the processor needs it: one PUT, and what went wrong with it in one word."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable

from common.protocol.keys import PROBE
from common.store.base import FOR_A_PERSON, StoreError
from common.store.s3.endpoint import Endpoint
from common.store.s3.fast_put import FastPut, S3Object
from processor.settings import ProcessorSettings

log = logging.getLogger(__name__)

_PROBED = b"facepipe can write here\n"


class ProcessorBucket:
    """One bucket; it may be shared by threads, and tries each request once.

    `put` writes an object, and the store checks the SHA-256 of what it got; StoreError, raised by
    it, has the reason.
    """

    def __init__(self, settings: ProcessorSettings) -> None:
        self._settings = settings
        self._endpoint = Endpoint(settings, connections=settings.uploads)
        self._own = FastPut(settings, self._endpoint)
        self.put: Callable[[S3Object], None] = self._own
        if self._endpoint.proxied:
            self.put = self.put_by_sdk

    def probe(self) -> None:
        """Write the one fixed object that shows that writing works.

        Should the store not take our own request, the SDK's word counts, and it does the work.

        Raises:
            StoreError: with the reason.
        """
        try:
            self._probe()
        except StoreError as error:
            if self.put != self._own or error.reason not in FOR_A_PERSON:
                raise
            self.put = self.put_by_sdk
            try:
                self._probe()
            except StoreError:
                self.put = self._own
                raise
            log.warning("PUTs go by the SDK, which is slower: %s", error)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._own.close()
        self._endpoint.client.close()

    def _probe(self) -> None:
        digest = hashlib.sha256(_PROBED).hexdigest()
        self.put(S3Object(PROBE, _PROBED, "text/plain", {}, digest))

    def put_by_sdk(self, object: S3Object) -> None:
        with self._endpoint.faults("PUT", "write to"):
            answer = self._endpoint.client.put_object(
                Bucket=self._settings.bucket,
                Key=object.key,
                Body=object.body,
                ContentType=object.content_type,
                Metadata=object.metadata,
                ChecksumSHA256=object.checksum,
            )
        if "ETag" not in answer:
            raise self._endpoint.says.no_etag()
