"""Who may see the preview: this host freely, everyone else with a password and by TLS."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hmac
import ssl
from collections.abc import Iterator
from email.message import Message
from typing import Any

from common.http.exposure import SHORTEST, Exposure

OWN_SITE = ("same-origin", "none")  # Sec-Fetch-Site of requests by the page or by the person


@dataclasses.dataclass(frozen=True)
class Access:
    """Where the page listens and whom it admits. `alone`: nothing else is on its port."""

    publication: Exposure
    password: str = dataclasses.field(repr=False)
    alone: bool

    def problems(self) -> Iterator[str]:
        """Sentences on what makes this unsafe, and what to do about it."""
        wide = f"PREVIEW=1 with HTTP_HOST={self.publication.host}"
        if self.password and len(self.password) < SHORTEST:
            yield f"PREVIEW_PASSWORD must have at least {SHORTEST} characters"
        if self.publication.wide:
            if not self.password:
                yield (
                    f"{wide} needs PREVIEW_PASSWORD or PREVIEW_PASSWORD_FILE, since others could"
                    " watch, too; or set HTTP_HOST=127.0.0.1"
                )
            if not self.alone:
                yield (
                    f"{wide} needs METRICS_PORT, a separate port for /healthz and /metrics,"
                    " such as 9111"
                )
        if self.publication.cert and self.publication.key and not self.alone:
            yield "HTTP_CERT needs METRICS_PORT, where /healthz and /metrics are served without TLS"
        yield from self.publication.problems(wide, "the picture")

    def context(self) -> ssl.SSLContext | None:
        return self.publication.context()

    def refusal(self, headers: Message, is_page: bool) -> str | None:
        """Why a request is refused: host, origin, no_password, password; None if it is not.

        `is_page`: it asks for the page itself, to which other sites may link.
        """
        if not self.publication.host_names.knows(headers.get("Host", "")):
            return "host"
        if not is_page and headers.get("Sec-Fetch-Site", "none") not in OWN_SITE:
            return "origin"  # another site's page
        if not self.password:
            return None
        given = headers.get("Authorization")
        if given is None:
            return "no_password"
        same = hmac.compare_digest(_password(given), self.password.encode())
        return None if same else "password"


@dataclasses.dataclass(frozen=True)
class PreviewOptions:
    """Whether and where to serve the preview, and to whom.

    about: facts that it shows of each camera, by the camera's name.
    """

    enabled: bool
    host: str
    port: int
    access: Access
    about: dict[str, dict[str, Any]]


def _password(authorization: str) -> bytes:
    """The password of HTTP Basic (RFC 7617), with any user name; empty if the header is invalid."""
    scheme, _, credentials = authorization.partition(" ")
    try:
        text = base64.b64decode(credentials.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return text.partition(b":")[2] if scheme.lower() == "basic" else b""
