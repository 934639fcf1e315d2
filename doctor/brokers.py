"""Checks of a broker: its name, its port, TLS, and whether it lets us in."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from common.mqtt import (
    DAY,
    SOON,
    Ack,
    Broker,
    Connection,
    ConnectionFailed,
    Message,
    common_name,
    expiry_of,
    explain_error,
    start_of,
)
from common.mqtt import check_handshake as try_handshake
from common.protocol.clock import to_rfc3339
from common.runtime.workers import Workers
from doctor.check import Finding, fail, ok, warn

_REMEDIES = {
    "name": "check the name, and this machine's DNS: getent hosts NAME",
    "timeout": "open the port in the firewall or security group between the two",
    "unreachable": "check the network, and the route to it",
    "absent": "start the broker there, or correct the port",
    "tls": "the port must be that of the broker's TLS listener",
    "closed": "it does not accept this certificate: revoked, or of another server; enrol again",
    "refused": "it does not know this client: enrol again, or check the password",
    "denied": "its access list lacks this client: run `enroll renew` on the server",
    "no_answer": "the port must be that of an MQTT 5 broker",
}


def _explain(failure: ConnectionFailed, remedies: Mapping[str, str]) -> Finding:
    remedy = {**_REMEDIES, **remedies}.get(failure.reason, "see the broker's log")
    return fail(str(failure), remedy, failure.reason)


async def check_name(host: str) -> Finding:
    """Whether a host name resolves."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        return _explain(explain_error(error, with_tls=False), {})
    addresses = ", ".join(sorted({str(info[4][0]) for info in found}))
    return ok(addresses if host in addresses else f"{host} is {addresses}")


async def check_port(host: str, port: int) -> Finding:
    """Whether something listens there."""
    try:
        async with asyncio.timeout(10):
            _, writer = await asyncio.open_connection(host, port)
    except OSError as error:  # TimeoutError is one
        return _explain(explain_error(error, with_tls=False), {})
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return ok(f"port {port} of {host} is open")


async def check_bundle(broker: Broker, device: str, renewal: str) -> Finding:
    """Whether our own certificate may be used now, and is that of `device`.

    renewal: what to do about one that has ended.
    """
    try:
        own = broker.certificate()
    except (OSError, ValueError) as error:
        return fail(f"the bundle cannot be used: {error}", renewal, "certificate")
    begins = start_of(own)
    ends = expiry_of(own)
    now = time.time()
    if now < begins:
        return fail(
            f"the certificate is not valid before {to_rfc3339(begins)[:16]}Z",
            "set the clock of this machine: sudo timedatectl set-ntp true",
            "certificate",
        )
    if now > ends:
        return fail(f"the certificate expired on {to_rfc3339(ends)[:10]}", renewal, "ended")
    name = common_name(own)
    if name != device:
        return fail(
            f"the certificate belongs to {name!r}, and this device is called {device!r}",
            "use the tar file of this device; DEVICE in .env goes before its name",
            "certificate",
        )
    soon = _warn_of_end("the certificate", ends, renewal)
    return soon or ok(f"certificate of {name}, valid until {to_rfc3339(ends)[:10]}")


def _warn_of_end(what: str, ends: float, renewal: str) -> Finding | None:
    """A warning of a certificate that ends soon."""
    left = ends - time.time()
    if left >= SOON:
        return None
    return warn(f"{what} expires in {int(left // DAY)} days", renewal, "ends_soon")


@contextlib.asynccontextmanager
async def connect(
    broker: Broker, client_id: str, on_message: Callable[[Message, Ack], None]
) -> AsyncIterator[Connection]:
    """An open connection.

    Raises:
        ConnectionFailed: with the reason.
    """
    connection = Connection(broker, client_id, on_message)
    try:
        context = broker.context()
    except (OSError, ValueError) as error:
        raise ConnectionFailed("certificate", f"TLS files cannot be used: {error}") from None
    try:
        await connection.open(Workers("doctor"), context)
        yield connection
        await connection.disconnect(1.0)
    finally:
        connection.fail(ConnectionFailed("left", "we left"))


async def check_login(
    broker: Broker, client_id: str, remedies: Mapping[str, str], names: tuple[str, ...] = ()
) -> Finding:
    """Whether the broker lets us in, and its certificate covers all of `names`.

    remedies: by reason word, where the usual one does not fit.
    """
    try:
        async with connect(broker, client_id, lambda *_: None) as connection:
            presented = connection.certificate
    except ConnectionFailed as error:
        return _explain(error, remedies)
    if presented is None:
        return ok(f"logged in at {broker.host}:{broker.port}")
    return _judge_certificate(f"logged in at {broker.host}:{broker.port}", presented, names)


async def check_handshake(broker: Broker, remedies: Mapping[str, str]) -> Finding:
    """Whether the broker and we accept each other's certificates, without a word of MQTT.

    To log in as a device would end the connection of its forwarder: the cloud broker takes the
    name in the certificate for the client id, of which there is one at a time.
    """
    where = f"{broker.host}:{broker.port}"
    try:
        context = broker.context()
        if context is None:
            return await check_port(broker.host, broker.port)
        presented = await asyncio.to_thread(try_handshake, context, broker.host, broker.port)
    except PermissionError as error:
        return _explain(ConnectionFailed("closed", str(error)), remedies)
    except (OSError, ValueError) as error:
        return _explain(explain_error(error, with_tls=True), remedies)
    return _judge_certificate(f"{where} accepts the certificate", presented, ())


def _judge_certificate(
    success: str, presented: Mapping[str, Any], names: tuple[str, ...]
) -> Finding:
    """Whether a broker's certificate is for all of `names`, and for long enough."""
    renew = "run `enroll renew` on the server"
    missing = [name for name in names if name not in _names(presented)]
    if missing:
        return fail(f"the broker's certificate lacks {', '.join(missing)}", renew, "certificate")
    ends = expiry_of(presented)
    soon = _warn_of_end("the broker's certificate", ends, renew)
    return soon or ok(f"{success}; the broker's is valid until {to_rfc3339(ends)[:10]}")


def _names(certificate: Mapping[str, Any]) -> set[str]:
    """The names and addresses that a certificate is for, as PUBLIC_HOST spells them."""
    found = set()
    for kind, name in certificate.get("subjectAltName", ()):
        found.add(str(ipaddress.ip_address(name)) if kind == "IP Address" else str(name))
    return found
