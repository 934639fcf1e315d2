"""A client with a valid certificate that writes bytes faster than any library."""

from __future__ import annotations

import contextlib
import socket
import ssl
from types import TracebackType

from common.mqtt.message import encode_number

PING, PONG = b"\xc0\x00", b"\xd0\x00"
SECONDS = 60.0


def encode_connect(client_id: str = "attacker", will: tuple[str, bytes] | None = None) -> bytes:
    """A CONNECT of MQTT 5 with a clean start; the will is retained. MQTT 5, section 3.1."""
    fields = [client_id.encode()]
    flags = 0x02
    body = b""
    if will is not None:
        flags |= 0x24
        body = b"\0"  # properties of the will: none
        fields += [will[0].encode(), will[1]]
    parts = [len(field).to_bytes(2, "big") + field for field in fields]
    payload = parts[0] + body + b"".join(parts[1:])
    rest = b"\0\4MQTT\5" + bytes((flags,)) + b"\0\x3c\0" + payload
    return b"\x10" + encode_number(len(rest)) + rest


class Attacker:
    """Use in `with`. Leaving ends the connection without a DISCONNECT, so that a will is sent."""

    def __init__(self, port: int, tls: ssl.SSLContext | None, connect: bytes = b"") -> None:
        self.socket = socket.create_connection(("localhost", port), SECONDS)
        try:
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
            self.socket.sendall(connect or encode_connect())
            answer = self.socket.recv(1000)
            assert answer[:1] == b"\x20" and answer[3] == 0, answer  # noqa: PT018 - CONNACK, success
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Attacker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, packets: bytes) -> bool:
        """Whether the broker has read them all and the connection is still there."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            self.socket.sendall(packets)
            self.socket.sendall(PING)
            answer = b""
            while not answer.endswith(PONG):
                part = self.socket.recv(65536)
                if not part:
                    return False
                answer = (answer + part)[-2:]
            return True
        return False
