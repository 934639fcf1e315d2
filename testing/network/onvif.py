"""A stand-in for an ONVIF camera: it answers probes of WS-Discovery on the loopback interface."""

from __future__ import annotations

import re
import socket
import struct
import threading
from typing import Self
from urllib.parse import quote

GROUP, PORT = "239.255.255.250", 3702
ANSWER = """<?xml version="1.0" encoding="UTF-8"?>
<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope"
 xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:wsdd="http://schemas.xmlsoap.org/ws/2005/04/discovery"
 xmlns:tdn="http://www.onvif.org/ver10/network/wsdl">
<SOAP-ENV:Header><wsa:RelatesTo>{id}</wsa:RelatesTo></SOAP-ENV:Header>
<SOAP-ENV:Body><wsdd:ProbeMatches><wsdd:ProbeMatch>
<wsa:EndpointReference><wsa:Address>urn:uuid:1</wsa:Address></wsa:EndpointReference>
<wsdd:Types>{type}</wsdd:Types>
<wsdd:Scopes>onvif://www.onvif.org/type/video_encoder
 onvif://www.onvif.org/name/{name} onvif://www.onvif.org/hardware/DS-2CD2042</wsdd:Scopes>
<wsdd:XAddrs>http://127.0.0.1/onvif/device_service</wsdd:XAddrs>
</wsdd:ProbeMatch></wsdd:ProbeMatches></SOAP-ENV:Body></SOAP-ENV:Envelope>"""


def answer(name: str, id: str = "", type: str = "tdn:NetworkVideoTransmitter") -> bytes:
    return ANSWER.format(name=quote(name), id=id, type=type).encode()


class OnvifCamera:
    """Use in `with`. `probes`: how many reached it; `before`: what it sends before each answer."""

    def __init__(self, name: str, before: tuple[bytes, ...] = ()) -> None:
        self.name = name
        self.probes = 0
        self._before = before
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((GROUP, PORT))
        loopback = struct.pack(
            "=4s4si", socket.inet_aton(GROUP), bytes(4), socket.if_nametoindex("lo")
        )
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, loopback)
        self._socket.settimeout(0.1)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while not self._ends.is_set():
            try:
                probe, sender = self._socket.recvfrom(65535)
            except TimeoutError:
                continue
            id = re.search(rb"MessageID>([^<]+)<", probe)
            assert id is not None
            assert b"NetworkVideoTransmitter" in probe
            self.probes += 1
            for message in (*self._before, answer(self.name, id[1].decode())):
                self._socket.sendto(message, sender)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self._socket.close()
