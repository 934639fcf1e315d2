"""Who may see the preview: this host without more ado, all others with a password, and by TLS."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hmac
import ipaddress
import re
import ssl
from collections.abc import Iterator
from email.message import Message

from common.web import server_context

SHORTEST = 8  # signs of a password: NIST SP 800-63B, section 5.1.1
OWN_SITE = ("same-origin", "none")  # what browsers say of requests by the page or by the person


@dataclasses.dataclass(frozen=True)
class Access:
    """Where the page listens and whom it lets in. `alone`: nothing else is on its port."""

    host: str
    published: str  # the host's address that leads to `host`, when that is a container's
    password: str = dataclasses.field(repr=False)
    cert: str
    key: str
    alone: bool

    def problems(self) -> Iterator[str]:
        """What is missing for this to be safe, and what to do about it."""
        wide = f"PREVIEW=1 with HTTP_HOST={self.host}"
        if self.password and len(self.password) < SHORTEST:
            yield f"PREVIEW_PASSWORD must have {SHORTEST} signs at least"
        if not _is_loopback(self.host):
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
        if not _is_loopback(self._reach) and not (self.cert and self.key):
            yield (
                f"{wide} needs HTTP_CERT and HTTP_KEY, since the picture would cross the network"
                " in clear; if it is a container's, published on the host's loopback alone, set"
                " HTTP_PUBLISHED=127.0.0.1"
            )
        elif bool(self.cert) != bool(self.key):
            yield "HTTP_CERT and HTTP_KEY go together: set both, or none"
        elif self.cert:
            yield from self._problems_of_files()

    def _problems_of_files(self) -> Iterator[str]:
        if not self.alone:
            yield "HTTP_CERT needs METRICS_PORT, where /healthz and /metrics stay without TLS"
        try:
            server_context(self.cert, self.key)
        except OSError as error:
            yield f"HTTP_CERT and HTTP_KEY cannot be used: {error}"

    @property
    def _reach(self) -> str:
        """The widest address from which the page can be reached."""
        return self.host if _is_loopback(self.host) else self.published or self.host

    def context(self) -> ssl.SSLContext | None:
        return server_context(self.cert, self.key) if self.cert else None

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
        return name in ("localhost", "127.0.0.1", "[::1]", self.host, f"[{self.host}]")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _password(authorization: str) -> bytes:
    """The password of HTTP Basic (RFC 7617), whatever the user's name; empty if it is none."""
    scheme, _, credentials = authorization.partition(" ")
    try:
        text = base64.b64decode(credentials.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return text.partition(b":")[2] if scheme.lower() == "basic" else b""
