"""Why a connection to a broker failed, in a short fixed word and in a sentence."""

from __future__ import annotations

import socket
import ssl

from paho.mqtt.reasoncodes import ReasonCode


class ConnectionFailed(Exception):
    """The connection could not be made or did not last. `reason` is a short fixed word."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def explain_error(error: OSError | ValueError, with_tls: bool) -> ConnectionFailed:
    """What went wrong below MQTT, before there was a connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"its certificate is not accepted: {error.verify_message}"
        return ConnectionFailed("certificate", text)
    if isinstance(error, ssl.SSLError):
        return ConnectionFailed("tls", f"no TLS with it: {error.reason or error}")
    if isinstance(error, ConnectionResetError):  # TCP was connected, and MQTT had not begun
        if not with_tls:
            return explain_early_end(with_tls)
        return ConnectionFailed("tls", "no TLS with it: it ends the handshake; has that port TLS?")
    if isinstance(error, socket.gaierror):
        return ConnectionFailed("name", f"the host name does not resolve: {error.strerror}")
    if isinstance(error, TimeoutError):
        return ConnectionFailed("timeout", "it does not answer in time")
    if isinstance(error, ConnectionRefusedError):
        return ConnectionFailed("absent", "nothing listens there")
    return ConnectionFailed("unreachable", str(error))


def explain_early_end(with_tls: bool) -> ConnectionFailed:
    """Closed without an answer to CONNECT."""
    # In TLS 1.3 a server judges the client's certificate after the handshake.
    doubt = "accept our certificate" if with_tls else "want TLS"
    return ConnectionFailed("closed", f"closed before MQTT was agreed; does the broker {doubt}?")


def explain_refusal(code: ReasonCode) -> ConnectionFailed:
    """The broker's answer to CONNECT was no."""
    text = f"the broker refuses: {code}"
    if code.value in (0x86, 0x87):  # bad user name or password; not authorized
        text += "; check the user name, password or certificate"
    return ConnectionFailed("refused", text)


def explain_dismissal(code: ReasonCode) -> ConnectionFailed:
    """The broker sent DISCONNECT."""
    reasons = {0x8E: "taken_over", 0x95: "too_large"}
    return ConnectionFailed(reasons.get(code.value, "dismissed"), f"the broker ended it: {code}")


def explain_loss(code: ReasonCode) -> ConnectionFailed:
    if code.value == 0x8D:  # keep alive timeout
        return ConnectionFailed("silent", "the broker no longer answers")
    return ConnectionFailed("lost", "the connection was lost")
