"""Why a connection to a broker failed: a fixed reason word and a sentence."""

from __future__ import annotations

import socket
import ssl

from paho.mqtt.reasoncodes import ReasonCode


class ConnectionFailed(Exception):
    """The connection could not be made or did not last. `reason` is a fixed word."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def explain_error(error: OSError | ValueError, with_tls: bool) -> ConnectionFailed:
    """What went wrong below MQTT, before there was a connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"its certificate cannot be verified: {error.verify_message}"
        return ConnectionFailed("certificate", text)
    if isinstance(error, ssl.SSLError):
        return ConnectionFailed("tls", f"the TLS handshake failed: {error.reason or error}")
    if isinstance(error, ConnectionResetError):  # TCP was connected, and MQTT had not begun
        if not with_tls:
            return explain_early_end(with_tls)
        text = "the TLS handshake failed: it closed the connection; does that port speak TLS?"
        return ConnectionFailed("tls", text)
    if isinstance(error, socket.gaierror):
        return ConnectionFailed("name", f"the host name does not resolve: {error.strerror}")
    if isinstance(error, TimeoutError):
        return ConnectionFailed("timeout", "it did not answer in time")
    if isinstance(error, ConnectionRefusedError):
        return ConnectionFailed("absent", "nothing is listening there")
    return ConnectionFailed("unreachable", str(error))


def explain_early_end(with_tls: bool) -> ConnectionFailed:
    """Closed without an answer to CONNECT."""
    # In TLS 1.3 a server checks the client's certificate after the handshake.
    doubt = "does it accept our certificate" if with_tls else "does that port expect TLS"
    return ConnectionFailed("closed", f"it closed the connection before MQTT began; {doubt}?")


def explain_refusal(code: ReasonCode) -> ConnectionFailed:
    """The broker refused CONNECT."""
    text = f"the broker refused the connection: {code}"
    if code.value in (0x86, 0x87):  # bad user name or password; not authorized
        text += "; check the user name, password or certificate"
    return ConnectionFailed("refused", text)


def explain_dismissal(code: ReasonCode) -> ConnectionFailed:
    """The broker sent DISCONNECT."""
    reasons = {0x8E: "taken_over", 0x95: "too_large"}
    text = f"the broker closed the connection: {code}"
    return ConnectionFailed(reasons.get(code.value, "dismissed"), text)


def explain_loss(code: ReasonCode) -> ConnectionFailed:
    """The connection ended without a word from the broker."""
    if code.value == 0x8D:  # keep alive timeout
        return ConnectionFailed("silent", "the broker no longer answers")
    return ConnectionFailed("lost", "the connection was lost")
