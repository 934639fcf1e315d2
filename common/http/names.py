"""The host names under which pages may be requested.

A page of a stranger's can give its own name our address (DNS rebinding). To the browser our pages
then belong to the stranger's, although they may be reached from this network only.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Iterable
from typing import Any

from common.runtime.handshake import ANY_ISSUER_ANY_TIME, shake_hands
from common.settings import host

UNKNOWN = 421  # Misdirected Request: RFC 9110, section 15.5.20
ADVICE = (
    "These pages are not served under this name. Use the machine's IP address instead."
    " If the name is right, add it to the setting HTTP_NAMES, and restart."
)


class HostNames:
    """Names beside those of loopback; `*.` at the beginning stands for one label."""

    def __init__(self, names: Iterable[str]) -> None:
        known = {name.lower().rstrip(".") for name in names if name}
        self._names = known | {"localhost", "*.localhost"}

    def knows(self, host: str) -> bool:
        """Whether pages may be requested with this Host header. IP addresses are always allowed."""
        name = re.sub(r":[0-9]*\Z", "", host.lower()).rstrip(".")
        parent = f"*.{name.partition('.')[2]}"
        return name in self._names or parent in self._names or _is_address(name)


def names(value: str) -> str:
    """A setting's host names, with commas between them."""
    return ",".join(host(name.strip()) for name in value.split(","))


def certificate_names(server_side: ssl.SSLContext, cert: str) -> list[str]:
    """The host names of the certificate in the PEM file `cert`, with which the context serves."""
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.check_hostname = False  # it talks to itself
    client_side.verify_flags |= ANY_ISSUER_ANY_TIME
    client_side.load_verify_locations(cert)
    try:
        _, client = shake_hands(server_side, client_side)
    except ssl.SSLError:  # it is for other purposes, and browsers will refuse it
        return []
    found: Any = (client.getpeercert() or {}).get("subjectAltName", ())
    return [name for kind, name in found if kind == "DNS"]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        return False
    return True
