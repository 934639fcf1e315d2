"""The upload of one face, in a worker thread: validate it, and put it where it belongs."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable

from common.protocol import keys
from common.protocol.face import CONTENT_TYPE
from common.runtime.rate_limit import TokenBucket
from common.store.base import NewObject, StoreError
from processor.duplicates import Duplicates, FaceKey
from processor.validation import Arrival, Verdict, validate

# Invalid messages are kept, since somebody may want to know why, but not as fast as a flood
# arrives. The rest is counted.
REJECTIONS, REJECTION_EVERY = 100, 0.1  # at once of a sender, and seconds until one more
REJECTED_KB, REJECTED_KB_EVERY = 20_000, 0.02  # kB at once of a sender, and seconds until one more
Put = Callable[[NewObject, bool], None]  # ObjectStore.put: an object, and whether it may replace


@dataclasses.dataclass(slots=True)
class Upload:
    """One face on its way to the store.

    `failure` is None once the object is stored, and `seconds` how long that PUT took.
    """

    arrival: Arrival
    verdict: Verdict
    object: NewObject
    put: Put
    flood: bool = False  # one invalid message too many from its sender: it is not stored
    copy: bool = False  # the face is in progress or has its receipt already: it is not stored again
    failure: StoreError | None = None
    seconds: float = 0.0

    @property
    def name(self) -> FaceKey | None:
        """What identifies copies of the same face; None if it has no id."""
        correlation = self.arrival.correlation
        return None if correlation is None else (correlation, self.verdict.sha256)

    def attempt(self) -> None:
        """Put the object once. A face is never replaced; a rejected object may be."""
        began = time.monotonic()
        try:
            self.put(self.object, self.verdict.reason is not None)
        except StoreError as error:
            self.failure = error
        else:
            self.failure = None
            self.seconds = time.monotonic() - began


class Uploader:
    """Creates uploads; thread-safe."""

    def __init__(self, put: Put, duplicates: Duplicates, root: str, template: str) -> None:
        self._put = put
        self._duplicates = duplicates
        self._root = root
        self._template = template
        self._lock = threading.Lock()
        self._rejections = TokenBucket(REJECTIONS, REJECTION_EVERY)
        self._rejected_kb = TokenBucket(REJECTED_KB, REJECTED_KB_EVERY)

    def begin(self, arrival: Arrival) -> Upload:
        """Validate a face and put it once, which is mostly all there is to do."""
        verdict = validate(arrival, self._root)
        upload = Upload(arrival, verdict, self._object(arrival, verdict), self._put)
        if verdict.reason is not None and not self.may_keep(arrival):
            upload.flood = True
            return upload
        if not self._duplicates.claim(upload.name):
            upload.copy = True
            return upload
        try:
            upload.attempt()
        except BaseException:
            self._duplicates.release(upload.name, None)
            raise
        return upload

    def may_keep(self, arrival: Arrival) -> bool:
        """Whether one more invalid message of this sender may be kept."""
        sender, now = arrival.topic, time.monotonic()
        with self._lock:
            if not self._rejected_kb.try_take(sender, now, len(arrival.payload) / 1000):
                return False
            return self._rejections.try_take(sender, now)

    def reject(self, upload: Upload, error: StoreError) -> Upload:
        """The upload of a copy under `rejected/` of a face that the store refuses."""
        old = upload.verdict
        verdict = Verdict(old.facts, old.captured, old.sha256, error.reason, str(error))
        return Upload(upload.arrival, verdict, self._object(upload.arrival, verdict), self._put)

    def _object(self, arrival: Arrival, verdict: Verdict) -> NewObject:
        facts, body = verdict.facts, arrival.payload
        if verdict.reason is None:
            key = keys.format_key(self._template, facts, verdict.captured)
            return NewObject(key, body, CONTENT_TYPE, facts, verdict.sha256)
        kept = {name: facts[name] for name in ("id", "device", "camera", "captured")}
        kept["reason"] = verdict.reason
        key = keys.rejected_key(facts["device"], verdict.reason, facts["id"])
        return NewObject(key, body, "application/octet-stream", kept, verdict.sha256)
