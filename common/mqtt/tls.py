"""TLS identities from PEM: the authority to trust, and a certificate with its key."""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.runtime.handshake import ANY_ISSUER_ANY_TIME, shake_hands

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----\n?", re.DOTALL)

HANDSHAKE_TIMEOUT = 5.0  # seconds, for each step


def read_files(ca: str, cert: str, key: str) -> tuple[str, str]:
    """PEM of (authorities, own certificate followed by its key); the second may be empty."""
    identity = "".join(Path(path).read_text(encoding="ascii") for path in (cert, key) if path)
    return Path(ca).read_text(encoding="ascii"), identity


def read_bundle(path: str) -> tuple[str, str]:
    """The same, from one file with authority, certificate and key in any order.

    Raises:
        OSError: the file cannot be read.
        ValueError: a part is missing, or no certificate belongs to the key.
    """
    blocks = [(m[1], m[0]) for m in _BLOCK.finditer(Path(path).read_text(encoding="ascii"))]
    keys = [text for kind, text in blocks if kind.endswith("PRIVATE KEY")]
    certificates = [text for kind, text in blocks if kind == "CERTIFICATE"]
    if len(keys) != 1 or len(certificates) < 2:
        raise ValueError("a bundle must contain an authority, one certificate and its key, as PEM")
    for own in certificates:
        # OpenSSL takes the first certificate as our own, and refuses one that is not the key's.
        identity = own.rstrip() + "\n" + keys[0]
        try:
            _load_identity(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), identity)
        except ssl.SSLError:
            continue
        return "\n".join(text for text in certificates if text != own), identity
    raise ValueError("no certificate in the bundle belongs to its key")


def client_context(authorities: str, identity: str) -> ssl.SSLContext:
    """A context that trusts `authorities` alone, checks host names, and speaks TLS 1.2 or newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=authorities)
    if identity:
        _load_identity(context, identity)
    return context


def decode_certificate(identity: str) -> dict[str, Any]:
    """The first certificate of `identity` in the form of `SSLSocket.getpeercert`, expired or not.

    Works for any authority. Empty for a certificate that clients may not use.
    """
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_identity(server_side, identity)
    server_side.verify_mode = ssl.CERT_REQUIRED
    server_side.verify_flags |= ANY_ISSUER_ANY_TIME
    server_side.load_verify_locations(cadata=identity)
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.check_hostname = False  # it talks to itself
    client_side.verify_mode = ssl.CERT_NONE
    _load_identity(client_side, identity)
    try:
        server, _ = shake_hands(server_side, client_side)
    except ssl.SSLError:
        return {}
    return dict(server.getpeercert() or {})


def common_name(certificate: Mapping[str, Any]) -> str | None:
    """The subject's CN of a decoded certificate; None if it has none."""
    for part in certificate.get("subject", ()):
        for name, value in part:
            if name == "commonName":
                return str(value)
    return None


def expiry_of(certificate: Mapping[str, Any]) -> float:
    """When a decoded certificate expires, in seconds since 1970."""
    return float(ssl.cert_time_to_seconds(certificate["notAfter"]))


def start_of(certificate: Mapping[str, Any]) -> float:
    """From when on a decoded certificate is valid, in seconds since 1970."""
    return float(ssl.cert_time_to_seconds(certificate["notBefore"]))


def check_handshake(context: ssl.SSLContext, host: str, port: int) -> dict[str, Any]:
    """Do a TLS handshake with a server and return its certificate; blocks for a second.

    Raises:
        OSError, ValueError: one side does not accept the other's certificate, or the server
            cannot be reached.
    """
    with (
        socket.create_connection((host, port), HANDSHAKE_TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        # In TLS 1.3 a server checks the client's certificate after the handshake. One that
        # accepts it waits for the client to speak.
        secure.settimeout(1.0)
        try:
            refusal = None if secure.recv(1) else "it closes the connection"
        except TimeoutError:
            refusal = None
        except (ssl.SSLError, ConnectionError) as error:
            refusal = getattr(error, "reason", None) or str(error)
        if refusal is not None:
            raise PermissionError(f"it does not accept our certificate: {refusal}")
        return dict(secure.getpeercert() or {})


def _load_identity(context: ssl.SSLContext, identity: str) -> None:
    # The ssl module reads keys only from files; this one never touches a disk.
    with os.fdopen(os.memfd_create("identity"), "w") as file:
        file.write(identity)
        file.flush()
        # Without the argument, OpenSSL would prompt for an encrypted key's password.
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password="")
