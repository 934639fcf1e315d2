"""The address of a broker, and how to log in to it: user name, password, TLS."""

from __future__ import annotations

import dataclasses
import ssl
from collections.abc import Iterator
from typing import Any

from common.mqtt import tls


@dataclasses.dataclass(frozen=True)
class Broker:
    """One broker, as the settings describe it. Logs and metrics call it by its `name`."""

    name: str
    host: str
    port: int
    username: str = ""
    password: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""
    bundle: str = ""

    @property
    def tls(self) -> bool:
        return bool(self.ca or self.bundle)

    @property
    def files(self) -> list[str]:
        """Paths of the TLS files that are set."""
        return [path for path in (self.bundle, self.ca, self.cert, self.key) if path]

    def __str__(self) -> str:
        return f"{self.name} broker {self.host}:{self.port}"

    def context(self) -> ssl.SSLContext | None:
        """A client context from the files as they are now, or None without TLS.

        Each connection gets a fresh one, so that reconnecting takes up renewed files.

        Raises:
            OSError: a file cannot be read, or is not valid PEM (ssl.SSLError).
            ValueError: the bundle is incomplete.
        """
        return tls.client_context(*self._texts()) if self.tls else None

    def _texts(self) -> tuple[str, str]:
        if self.bundle:
            return tls.read_bundle(self.bundle)
        return tls.read_files(self.ca, self.cert, self.key)

    def certificate(self) -> dict[str, Any]:
        """Our own certificate, decoded; empty if there is none. Raises as `context` does."""
        identity = self._texts()[1] if self.tls else ""
        return tls.decode_certificate(identity) if identity else {}

    def common_name(self) -> str | None:
        """The CN of our own certificate, which a broker may take as user name; None without."""
        return tls.common_name(self.certificate())

    def problems(self, prefix: str) -> Iterator[str]:
        """Sentences on what is wrong with the TLS files; the settings begin with `prefix`."""
        if self.bundle and (self.ca or self.cert or self.key):
            yield f"{prefix}_BUNDLE contains all three: leave {prefix}_CA, _CERT and _KEY unset"
        elif (self.cert or self.key) and not self.ca and not self.bundle:
            yield f"{prefix}_CERT and {prefix}_KEY need {prefix}_CA, the authority to trust"
        elif self.key and not self.cert:
            yield f"{prefix}_KEY needs {prefix}_CERT, the certificate that belongs to it"
        else:
            named = f"{prefix}_BUNDLE" if self.bundle else f"{prefix}_CA, _CERT, _KEY"
            try:
                self.context()
            except (OSError, ValueError) as error:
                yield f"{named}: cannot be used for TLS: {error}"
