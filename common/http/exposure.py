"""Where web pages may be reached: on loopback without TLS, elsewhere only with a certificate.

A published port of a container ends at an address that is not the container's loopback, so that
`host` alone does not tell who could reach it: `published` does.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import ssl
from collections.abc import Iterator

from common.http.names import HostNames, certificate_names, names
from common.http.server import server_context
from common.service_settings import ServiceSettings
from common.settings import file, host, setting

SHORTEST = 8  # signs of a password: NIST SP 800-63B, section 5.1.1


@dataclasses.dataclass(frozen=True)
class Exposure:
    """HTTP_HOST, HTTP_PUBLISHED, HTTP_CERT, HTTP_KEY and HTTP_NAMES of pages for people."""

    host: str
    published: str  # the host's address that leads to `host`, when that is a container's
    cert: str
    key: str
    names: str = ""  # with commas between them

    @property
    def wide(self) -> bool:
        """Could others than this host reach it, if only the containers beside us?"""
        return not is_loopback(self.host)

    @property
    def reach(self) -> str:
        """The widest address from which the pages can be reached."""
        return self.published or self.host if self.wide else self.host

    def problems(self, subject: str, what: str) -> Iterator[str]:
        """What is missing or wrong with certificate and key.

        `subject` begins the sentence, such as HTTP_HOST=0.0.0.0; `what` would cross the network.
        """
        if not is_loopback(self.reach) and not (self.cert and self.key):
            yield (
                f"{subject} needs HTTP_CERT and HTTP_KEY, because {what} would cross the network"
                " unencrypted; if the port of a container is published only on the host's loopback,"
                " set HTTP_PUBLISHED=127.0.0.1"
            )
        elif bool(self.cert) != bool(self.key):
            yield "HTTP_CERT and HTTP_KEY go together: set both or neither"
        elif self.cert:
            try:
                self.context()
            except OSError as error:
                yield f"HTTP_CERT and HTTP_KEY cannot be used: {error}"

    def context(self) -> ssl.SSLContext | None:
        """What to serve with: None is without TLS.

        Raises:
            OSError: certificate and key cannot be read, or do not belong together.
        """
        return server_context(self.cert, self.key) if self.cert else None

    @functools.cached_property
    def host_names(self) -> HostNames:
        """The names by which the pages are known: those of settings and certificate."""
        own = certificate_names(server_context(self.cert, self.key), self.cert) if self.cert else []
        return HostNames([self.host, self.published, *self.names.split(","), *own])


@dataclasses.dataclass(frozen=True, kw_only=True)
class PageSettings(ServiceSettings):
    """The settings of a service that has pages for people."""

    http_published: str = setting(
        "HTTP_PUBLISHED",
        host,
        "in a container: the host's address on which HTTP_PORT is published; HTTP_HOST if unset",
        default="",
    )
    http_cert: str = setting(
        "HTTP_CERT",
        file,
        "certificate of the pages (PEM file); required beyond loopback",
        default="",
    )
    http_key: str = setting("HTTP_KEY", file, "key of the certificate (PEM file)", default="")
    http_names: str = setting(
        "HTTP_NAMES",
        names,
        "host names of the pages, separated by commas, in addition to those in the certificate; IP"
        " addresses and localhost always work",
        default="",
    )

    @property
    def publication(self) -> Exposure:
        """Where the pages can be reached."""
        return Exposure(
            self.http_host, self.http_published, self.http_cert, self.http_key, self.http_names
        )


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
