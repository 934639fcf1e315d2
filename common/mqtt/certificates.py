"""The certificates of one connection: reloaded when their files change, warned of before expiry."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import metrics
from common.mqtt import connect_errors, tls
from common.mqtt.broker import Broker
from common.mqtt.connect_errors import ConnectionFailed
from common.runtime.health import Health
from common.runtime.workers import Workers

log = logging.getLogger(__name__)

CHECK_EVERY = 10.0  # seconds between two checks of the files
DAY = 86_400.0
SOON = 30 * DAY  # seconds before expiry from which a warning is logged, once a day
URGENT = 7 * DAY  # seconds before expiry from which the service also counts as degraded

REMEDIES = {
    "own": "run `enroll {name}` on the server again and copy the file here",
    "own processor": "run `enroll renew` on the server",
    "own gallery": "run `enroll renew` on the server",
    "broker": "run `enroll renew` on the server",
    "authority": "run `enroll renew` on the server, then renew this service's own certificate",
}


class Certificates:
    """Watches the files and expiry dates behind the connections to one broker.

    Call `context()` for each connection, `note_broker()` once it is up, then `check_files()`
    every `CHECK_EVERY` seconds.
    """

    def __init__(self, broker: Broker, health: Health) -> None:
        self._broker = broker
        self._health = health
        self._name: str | None = None  # the CN of our first certificate; later ones must match
        self._context: ssl.SSLContext | None = None
        self._used: bytes | None = None  # contents of the files that the context was made from
        self._seen: bytes | None = None  # contents of the files at the last check
        self._fault: str | None = None  # what is wrong with newer files
        self._ends: dict[str, float] = {}  # by owner: seconds since 1970
        # By owner, expiry, and whether it had expired: when the warning was logged.
        self._warned: dict[tuple[str, float, bool], float] = {}

    def context(self) -> ssl.SSLContext | None:
        """A context for a new connection, from the files as they are now; None without TLS.

        Raises:
            ConnectionFailed: the files cannot be used.
        """
        files = self._files()
        try:
            self._context, own = self._create_context()
        except (OSError, ValueError) as error:
            raise ConnectionFailed("certificate", f"TLS files cannot be used: {error}") from None
        if own:
            self._name = tls.common_name(own)
            self._note("own", tls.expiry_of(own))
        authorities = self._context.get_ca_certs() if self._context is not None else []
        if authorities:
            self._note("authority", max(tls.expiry_of(one) for one in authorities))
        if self._used not in (None, files):
            self._log_renewal("own" if own else "authority")
        self._used, self._fault = files, None
        self._warn_of_expiry()
        return self._context

    def _log_renewal(self, whose: str) -> None:
        what = "certificate" if whose == "own" else "authority"
        until = _date(self._ends[whose]) if whose in self._ends else "an unknown time"
        log.info("%s: loaded the new %s, valid until %s", self._broker, what, until)

    def days_left(self) -> float | None:
        """Days until the first certificate expires; below 0 once it has, None without TLS."""
        if not self._ends:
            return None
        return (min(self._ends.values()) - time.time()) / DAY

    def note_broker(self, certificate: Mapping[str, Any] | None) -> None:
        """Record the expiry of the certificate that the broker presented."""
        if certificate:
            self._note("broker", tls.expiry_of(certificate))
            self._warn_of_expiry()

    async def check_files(self, connector: Workers) -> bool:
        """Whether the files have changed, so that a new connection should use them.

        Files that cannot be used are logged once and tried again at the next check.
        """
        if self._context is None:
            return False
        if self._is_due("broker"):
            await self._refresh_broker(connector)
        changed = await self._have_changed(connector)
        self._warn_of_expiry()
        return changed

    async def _refresh_broker(self, connector: Workers) -> None:
        """Fetch the broker's current certificate: it may be newer than our connection."""
        try:
            self.note_broker(await self._shake_hands(connector, self._context))
        except ConnectionFailed as error:
            log.debug("%s: %s", self._broker, error)

    async def _have_changed(self, connector: Workers) -> bool:
        before, self._seen = self._seen, self._files()
        if self._seen == self._used:
            self._fault = None
        if self._seen == self._used or self._seen != before:
            return False  # somebody may still be copying: wait until two checks agree
        try:
            await self._shake_hands(connector, self._create_context()[0])
        except (OSError, ValueError, ConnectionFailed) as error:
            self._complain(str(error))
            return False
        return True

    def _create_context(self) -> tuple[ssl.SSLContext | None, dict[str, Any]]:
        context, own = self._broker.context(), self._broker.certificate()
        name = tls.common_name(own)
        if self._name is not None and name != self._name:
            raise ValueError(f"the certificate belongs to {name!r}, but this is {self._name!r}")
        return context, own

    async def _shake_hands(
        self, connector: Workers, context: ssl.SSLContext | None
    ) -> dict[str, Any]:
        try:
            return await connector.run(
                tls.check_handshake, context, self._broker.host, self._broker.port
            )
        except (OSError, ValueError) as error:
            raise connect_errors.explain_error(error, with_tls=True) from None

    def _complain(self, fault: str) -> None:
        if fault != self._fault:
            log.warning(
                "%s: cannot use the new TLS files: %s; keeping the old ones (unusable)",
                self._broker,
                fault,
            )
        self._fault = fault

    def _files(self) -> bytes | None:
        try:
            return b"".join(Path(path).read_bytes() for path in self._broker.files)
        except OSError:
            return None  # whoever creates a context from them reports what is wrong

    def _note(self, whose: str, end: float) -> None:
        self._ends[whose] = end
        metrics.CERTIFICATE_ENDS.labels(self._broker.name, whose).set(end)

    def _is_due(self, whose: str) -> bool:
        end = self._ends.get(whose, float("inf"))
        left = end - time.time()
        warned = self._warned.get((whose, end, left <= 0), float("-inf"))
        return left < SOON and time.monotonic() - warned >= DAY

    def _warn_of_expiry(self) -> None:
        for whose, end in self._ends.items():
            if self._is_due(whose):
                self._warned[whose, end, end <= time.time()] = time.monotonic()
                self._warn(whose, end)
        left = min(self._ends.values(), default=float("inf")) - time.time()
        reason = "ended" if left <= 0 else "ends_soon" if left < URGENT else None
        self._health.check(
            f"{self._broker.name}_certificate", "unusable" if self._fault else reason
        )

    def _warn(self, whose: str, end: float) -> None:
        left = end - time.time()
        named = (
            f"our own certificate ({self._name})"
            if whose == "own"
            else f"the {whose}'s certificate"
        )
        when = f"expires in {_span(left)}" if left > 0 else f"EXPIRED {_span(-left)} ago"
        log.log(
            logging.WARNING if left > 0 else logging.ERROR,
            "%s: %s %s, on %s; %s",
            self._broker,
            named,
            when,
            _date(end),
            REMEDIES.get(f"{whose} {self._name}", REMEDIES[whose]).format(name=self._name),
        )


def _span(seconds: float) -> str:
    return f"{seconds / DAY:.0f} days" if seconds >= 2 * DAY else f"{seconds / 3600:.0f} hours"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
