"""What can go wrong with the store, in short fixed words.

StoreError is raised at the boundary to the store (`endpoint`, by the words of `faults`) and to the
token service (`iam`); its `reason` is the word that stands in logs and metrics too.
"""

from __future__ import annotations


class StoreError(Exception):
    """A request to the store failed.

    reason: slow_down, timeout, unreachable, server, altered, clock, token: may mend itself;
        denied, no_bucket, not_s3: a person may have to; refused: this one request is not liked;
        missing: there is no such object.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


#: At start-up, these end the service: only a person can mend them.
FOR_A_PERSON = ("denied", "no_bucket", "not_s3", "refused")
