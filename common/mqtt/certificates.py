"""The certificates of one link: taken up when their files change, told of before they end."""

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

LOOK_EVERY = 10.0  # seconds between two looks at the files
DAY = 86_400.0
SOON = 30 * DAY  # seconds before its end from which a certificate is warned of, once a day
URGENT = 7 * DAY  # seconds before its end from which the service counts as degraded, too

REMEDIES = {
    "own": "run `enroll {name}` on the server again, and copy the file here",
    "own processor": "run `enroll renew` on the server",
    "own gallery": "run `enroll renew` on the server",
    "broker": "run `enroll renew` on the server",
    "authority": "run `enroll renew` on the server, then renew our own certificate, too",
}


class Certificates:
    """Use: `context()` for each connection, `met()` when it is made, then `look()` at times."""

    def __init__(self, broker: Broker, health: Health) -> None:
        self._broker = broker
        self._health = health
        self._name: str | None = None  # whom our certificate names, since the first one
        self._context: ssl.SSLContext | None = None
        self._used: bytes | None = None  # the files as they were when they were taken up
        self._seen: bytes | None = None  # the same, at the last look
        self._fault: str | None = None  # what is wrong with newer ones
        self._ends: dict[str, float] = {}  # by whose: seconds since 1970
        self._said: dict[tuple[str, float, bool], float] = {}  # whose, its end, is it over: when

    def context(self) -> ssl.SSLContext | None:
        """For a new connection, from the files as they are now; None without TLS.

        Raises:
            ConnectionFailed: the files cannot be used.
        """
        files = self._files()
        try:
            self._context, own = self._made()
        except (OSError, ValueError) as error:
            raise ConnectionFailed("certificate", f"TLS files cannot be used: {error}") from None
        if own:
            self._name = tls.common_name(own)
            self._note("own", tls.expiry_of(own))
        authorities = self._context.get_ca_certs() if self._context is not None else []
        if authorities:
            self._note("authority", max(tls.expiry_of(one) for one in authorities))
        if self._used not in (None, files):
            self._say_new("own" if own else "authority")
        self._used, self._fault = files, None
        self._remind()
        return self._context

    def _say_new(self, whose: str) -> None:
        what = "certificate" if whose == "own" else "authority"
        until = _date(self._ends[whose]) if whose in self._ends else "an unknown time"
        log.info("%s: took up the new %s, valid until %s", self._broker, what, until)

    def days_left(self) -> float | None:
        """Until the first of them ends; below 0 after it has, None without TLS."""
        if not self._ends:
            return None
        return (min(self._ends.values()) - time.time()) / DAY

    def met(self, certificate: Mapping[str, Any] | None) -> None:
        """The broker's certificate, as it was shown."""
        if certificate:
            self._note("broker", tls.expiry_of(certificate))
            self._remind()

    async def look(self, connector: Workers) -> bool:
        """Whether the files have changed, and a new connection should be made with them.

        Files that cannot be used are said once; they are tried again at the next look.
        """
        if self._context is None:
            return False
        if self._is_due("broker"):
            await self._meet_again(connector)
        renewed = await self._renewed(connector)
        self._remind()
        return renewed

    async def _meet_again(self, connector: Workers) -> None:
        """A connection may be older than the certificate that its broker has by now."""
        try:
            self.met(await self._greeted(connector, self._context))
        except ConnectionFailed as error:
            log.debug("%s: %s", self._broker, error)

    async def _renewed(self, connector: Workers) -> bool:
        before, self._seen = self._seen, self._files()
        if self._seen == self._used:
            self._fault = None
        if self._seen == self._used or self._seen != before:
            return False  # a copy may be under way: it is judged when it rests
        try:
            await self._greeted(connector, self._made()[0])
        except (OSError, ValueError, ConnectionFailed) as error:
            self._complain(str(error))
            return False
        return True

    def _made(self) -> tuple[ssl.SSLContext | None, dict[str, Any]]:
        context, own = self._broker.context(), self._broker.certificate()
        name = tls.common_name(own)
        if self._name is not None and name != self._name:
            raise ValueError(f"the certificate is {name!r}'s, and we are {self._name!r}")
        return context, own

    async def _greeted(self, connector: Workers, context: ssl.SSLContext | None) -> dict[str, Any]:
        try:
            return await connector.run(
                tls.check_handshake, context, self._broker.host, self._broker.port
            )
        except (OSError, ValueError) as error:
            raise connect_errors.explain_error(error, with_tls=True) from None

    def _complain(self, fault: str) -> None:
        if fault != self._fault:
            log.warning(
                "%s: cannot use the new TLS files: %s; going on with the old ones (unusable)",
                self._broker,
                fault,
            )
        self._fault = fault

    def _files(self) -> bytes | None:
        try:
            return b"".join(Path(path).read_bytes() for path in self._broker.files)
        except OSError:
            return None  # what is wrong is said by who makes a context of it

    def _note(self, whose: str, end: float) -> None:
        self._ends[whose] = end
        metrics.CERTIFICATE_ENDS.labels(self._broker.name, whose).set(end)

    def _is_due(self, whose: str) -> bool:
        end = self._ends.get(whose, float("inf"))
        left = end - time.time()
        said = self._said.get((whose, end, left <= 0), float("-inf"))
        return left < SOON and time.monotonic() - said >= DAY

    def _remind(self) -> None:
        for whose, end in self._ends.items():
            if self._is_due(whose):
                self._said[whose, end, end <= time.time()] = time.monotonic()
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
        when = f"ends in {_span(left)}" if left > 0 else f"HAS ENDED {_span(-left)} ago"
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
