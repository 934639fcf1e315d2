"""What every answer tells the browser to beware of."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

ALWAYS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' blob:; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With no-referrer, browsers would call the origin of our own forms null.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "accelerometer=(), camera=(), display-capture=(), geolocation=(),"
    " gyroscope=(), magnetometer=(), microphone=(), payment=(), usb=()",
}
WITH_TLS = {"Strict-Transport-Security": "max-age=31536000"}  # a year


def harden(send: Send, tls: bool) -> Send:
    """`send`, with these headers on whatever is answered. `tls`: by TLS of our own.

    What a proxy promises of its host name's TLS is up to whoever runs it.
    """
    extra = ALWAYS | (WITH_TLS if tls else {})

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(extra)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sending
