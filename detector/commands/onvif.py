"""Cameras in the network: ONVIF devices that answer a probe of WS-Discovery.

OASIS, "Web Services Dynamic Discovery", April 2005; ONVIF Core Specification, section 7.3.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import select
import socket
import struct
import time
import uuid
from collections.abc import Iterator
from urllib.parse import unquote
from xml.etree import ElementTree

GROUP = "239.255.255.250", 3702
WITHIN = 2.0  # seconds; a device answers after 0.5 at the latest, chosen at random
REPEAT = 0.3  # seconds after which the probe is sent once more, since UDP loses some
_LARGEST = 65535  # bytes of an answer
_ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
_DISCOVERY = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
_SCOPE = re.compile(r"onvif://www\.onvif\.org/(name|hardware)/(\S+)")
_PROBE = f"""<?xml version="1.0" encoding="utf-8"?>
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="{_ADDRESSING}"
 xmlns:d="{_DISCOVERY}" xmlns:n="http://www.onvif.org/ver10/network/wsdl">
<s:Header><a:Action>{_DISCOVERY}/Probe</a:Action><a:MessageID>urn:uuid:%s</a:MessageID>
<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header>
<s:Body><d:Probe><d:Types>n:NetworkVideoTransmitter</d:Types></d:Probe></s:Body>
</s:Envelope>"""


@dataclasses.dataclass(frozen=True)
class NetworkCamera:
    """`name`, `hardware`: as the device states them, or ""; `address`: of IPv4."""

    name: str
    hardware: str
    address: str


def find_network_cameras(within: float = WITHIN) -> list[NetworkCamera]:
    """The devices that answer on any interface of this machine, in order of their addresses."""
    found: set[NetworkCamera] = set()
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(one) for one in _open_sockets()]
        for wait in (REPEAT, within - REPEAT):
            message = (_PROBE % uuid.uuid4()).encode()
            for one in sockets:
                # An interface that is down, or has no address, reaches nobody.
                with contextlib.suppress(OSError):
                    one.sendto(message, GROUP)
            for answer, address in _receive(sockets, wait):
                found.update(read_answer(answer, address))
    return sorted(found, key=lambda camera: (socket.inet_aton(camera.address), camera.name))


def read_answer(answer: bytes, address: str) -> Iterator[NetworkCamera]:
    """The devices that an answer names; none if it is not one of WS-Discovery.

    address: where the answer came from.
    """
    if b"<!" in answer:
        return  # SOAP has no document type, whose entities could take all memory
    try:
        envelope = ElementTree.fromstring(answer)  # noqa: S314 - without entities it is harmless
    except (ElementTree.ParseError, LookupError, ValueError):
        return  # anybody in the network may send anything, in any encoding
    for match in envelope.iter(f"{{{_DISCOVERY}}}ProbeMatch"):
        if "NetworkVideoTransmitter" in match.findtext(f"{{{_DISCOVERY}}}Types", ""):
            scopes = match.findtext(f"{{{_DISCOVERY}}}Scopes", "")
            said = {kind: unquote(text, errors="replace") for kind, text in _SCOPE.findall(scopes)}
            yield NetworkCamera(said.get("name", ""), said.get("hardware", ""), address)


def _open_sockets() -> Iterator[socket.socket]:
    """One for each interface, since a multicast leaves by one only."""
    for number, _ in socket.if_nameindex():
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        interface = struct.pack("=4s4si", bytes(4), bytes(4), number)  # ip_mreqn: ip(7)
        one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
        one.setblocking(False)
        yield one


def _receive(sockets: list[socket.socket], seconds: float) -> Iterator[tuple[bytes, str]]:
    """What arrives within `seconds`, and from which address."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for one in select.select(sockets, [], [], left)[0]:
            # The kernel may find a datagram damaged after it has announced it: select(2).
            with contextlib.suppress(BlockingIOError):
                answer, sender = one.recvfrom(_LARGEST)
                yield answer, sender[0]
