"""AWS Signature Version 4 for S3: the Authorization header of one request.

After "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)" of the
Amazon S3 API Reference. The SDK's own signer takes several times as long; tests compare the two.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

_ALGORITHM = "AWS4-HMAC-SHA256"


class Signer:
    """Signs for one key in one region; may be shared by threads."""

    def __init__(self, key_id: str, secret: str, region: str) -> None:
        self._key_id = key_id
        self._secret = secret
        self.region = region
        self._of_day = ("", b"")  # a day, and the signing key that is good for it

    def for_region(self, region: str) -> Signer:
        """One for the same key in another region."""
        return Signer(self._key_id, self._secret, region)

    def authorization(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        """The header's value.

        path: as it is sent, encoded, without a query. headers: all that are to be signed, their
        names in lower case and in order, x-amz-date and x-amz-content-sha256 among them.
        """
        names = ";".join(headers)
        lines = "".join([f"{name}:{_collapse_blanks(value)}\n" for name, value in headers.items()])
        digest = headers["x-amz-content-sha256"]
        canonical = f"{method}\n{path}\n\n{lines}\n{names}\n{digest}"
        moment = headers["x-amz-date"]
        day = moment[:8]
        scope = f"{day}/{self.region}/s3/aws4_request"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashed}"
        signature = hmac.digest(self._key(day), text.encode(), "sha256").hex()
        return (
            f"{_ALGORITHM} Credential={self._key_id}/{scope},"
            f" SignedHeaders={names}, Signature={signature}"
        )

    def _key(self, day: str) -> bytes:
        made, key = self._of_day
        if made != day:
            key = f"AWS4{self._secret}".encode()
            for part in (day, self.region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._of_day = (day, key)  # in one step, for other threads
        return key


def _collapse_blanks(value: str) -> str:
    """Without blanks around it, and one in place of several."""
    return " ".join(value.split()) if "  " in value or value != value.strip() else value
