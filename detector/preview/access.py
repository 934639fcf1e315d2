"""Who may see the preview: this host without more ado, all others with a password, and by TLS."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hmac
import re
import ssl
from collections.abc import Iterator
from email.message import Message

from common.http.exposure import SHORTEST, Exposure

OWN_SITE = ("same-origin", "none")  # what browsers say of requests by the page or by the person


@dataclasses.dataclass(frozen=True)
class Access:
    """Where the page listens and whom it lets in. `alone`: nothing else is on its port."""

    publication: Exposure
    password: str = dataclasses.field(repr=False)
    alone: bool

    def problems(self) -> Iterator[str]:
        """What is missing for this to be safe, and what to do about it."""
        wide = f"PREVIEW=1 with HTTP_HOST={self.publication.host}"
        if self.password and len(self.password) < SHORTEST:
            yield f"PREVIEW_PASSWORD must have {SHORTEST} signs at least"
        if self.publication.wide:
            if not self.password:
                yield (
                    f"{wide} needs PREVIEW_PASSWORD or PREVIEW_PASSWORD_FILE, since others than"
                    " this host could look; or set HTTP_HOST=127.0.0.1"
                )
            if not self.alone:
                yield (
                    f"{wide} needs METRICS_PORT, a port of its own for /healthz and /metrics,"
                    " such as 9111"
                )
        if self.publication.cert and self.publication.key and not self.alone:
            yield "HTTP_CERT needs METRICS_PORT, where /healthz and /metrics stay without TLS"
        yield from self.publication.problems(wide, "the picture")

    def context(self) -> ssl.SSLContext | None:
        return self.publication.context()

    def refusal(self, headers: Message, is_page: bool) -> str | None:
        """Why a request is refused: host, origin, no_password, password; None if it is not.

        `is_page`: it asks for the page itself, to which other sites may link.
        """
        if not self.password and not self._is_ours(headers.get("Host", "")):
            return "host"  # a name of somebody else's, made to lead here: DNS rebinding
        if not is_page and headers.get("Sec-Fetch-Site", "none") not in OWN_SITE:
            return "origin"  # another site's page
        if not self.password:
            return None
        given = headers.get("Authorization")
        if given is None:
            return "no_password"
        same = hmac.compare_digest(_password(given), self.password.encode())
        return None if same else "password"

    def _is_ours(self, host: str) -> bool:
        name = re.sub(r":[0-9]*\Z", "", host.lower())
        host = self.publication.host
        return name in ("localhost", "127.0.0.1", "[::1]", host, f"[{host}]")


def _password(authorization: str) -> bytes:
    """The password of HTTP Basic (RFC 7617), whatever the user's name; empty if it is none."""
    scheme, _, credentials = authorization.partition(" ")
    try:
        text = base64.b64decode(credentials.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return text.partition(b":")[2] if scheme.lower() == "basic" else b""
