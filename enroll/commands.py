"""The commands of the command line: enrol, revoke, list, renew."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from common.settings import SettingsError, name
from enroll import access, files, package, services
from enroll.authority import Authority
from enroll.certificates import Identity
from enroll.ledger import RESERVED, Ledger
from enroll.live import LiveBroker
from enroll.settings import EnrollSettings
from enroll.talk import BrokerNotUpdated
from enroll.words import day, say

_START = ("up -d", "restart forwarder")  # an unpacked file is a new one, which a restart mounts
REVOKED_WITHIN = 15.0  # seconds for all that `revoke` does with the running broker


def enrol(settings: EnrollSettings, device: str, pem: bool = False) -> None:
    """Give a device a certificate, or the next one; what it needs goes to stdout.

    That is a tar file to unpack on the device or, with `pem`, its bundle alone.

    Raises:
        SettingsError, BrokerNotUpdated: with the latter, stdout has been written.
    """
    _check(device)
    file = f"{device}.pem" if pem else f"{device}.tar"
    if sys.stdout.isatty() and not pem:
        raise SettingsError([f"stdout is a terminal: end the command with > {file}"])
    with files.locked(Path(settings.authority_dir)):
        authority = _open_authority(settings)
        services.keep(authority, settings)
        known = [entry for entry in authority.ledger.entries if entry.name == device]
        made = authority.enrol(device, settings.device_days)
        services.admit(authority, settings)
        bundle = authority.bundle(made)
        _hand_out(bundle.encode() if pem else package.pack(bundle, _own_settings(settings, device)))
        say(f"{device} is enrolled until {day(made.certificate.not_valid_after_utc)}")
        good = max((entry.until for entry in known if entry.good), default=None)
        if good:
            say(f"its old certificate stays valid until {day(good)}")
        elif any(entry.revoked for entry in known):
            say("it was revoked: this is a new identity; the old ones remain revoked")
        _explain_next(device, file, pem, again=bool(good))
        live = LiveBroker(settings, authority)
        if live.runs():
            live.command(access.admission(device))
        else:
            say(f"the broker is not running: it will know {device} when it starts")


def _own_settings(settings: EnrollSettings, device: str) -> dict[str, str]:
    """What the device's services have to be told."""
    return {
        "DEVICE": device,
        "CLOUD_HOST": settings.public_host[0],
        "CLOUD_PORT": str(settings.public_port),
        "CLOUD_TOPIC": f"faces/from/{device}",
    }


def _explain_next(device: str, file: str, pem: bool, again: bool) -> None:
    if pem and again:
        say("next: replace the bundle on the device: the forwarder loads the new one automatically")
    elif pem:
        say(f"next: copy {file} to the device; set CLOUD_BUNDLE there to its path, and DEVICE to")
        say(f"{device}; then delete all other copies, which hold the device's key")
    else:
        say(f"next: copy {file} to the device, and unpack it beside the compose file there:")
        say(f"tar -xf {file} && docker compose -f docker-compose.jetson.yml {_START[again]}")
        say("then delete all copies of it, which hold the device's key")
    if sys.stdout.isatty():
        say(f"to write the bundle to a file, end the command with: > {file}")


def revoke(settings: EnrollSettings, device: str) -> None:
    """Cut a device off: all its certificates, and its open connection.

    Raises:
        SettingsError: there is no such device.
        BrokerNotUpdated: it is cut off when the broker starts again, or this is run again.
    """
    _check(device)
    with files.locked(Path(settings.authority_dir)):
        authority = _open_authority(settings)
        if device not in {entry.name for entry in authority.ledger.entries}:
            raise SettingsError([f"there is no device {device!r}; `list` shows all devices"])
        services.keep(authority, settings)
        authority.ledger.revoke(device)
        canary = services.write_revocation(authority, settings)
        say(f"{device} is revoked; enrolling it again creates a new identity")
        with _time_limit(REVOKED_WITHIN):
            _cut_off(LiveBroker(settings, authority), device, canary)


def _cut_off(live: LiveBroker, device: str, canary: Identity) -> None:
    if not live.runs():
        say("the broker is not running: this takes effect when it starts")
        return
    try:
        # Before its connection is ended, for the device would reconnect at once.
        live.wait_for_refusal(canary)
    finally:
        live.command(access.dismissal(device))
    say("the broker closed the device's connection and refuses its certificates")
    try:
        live.forget(device)
    except BrokerNotUpdated as error:
        # The device is cut off all the same; what it has left must not hold up other enrolments.
        say(f"some of its retained messages remain: {error}; restart the broker to delete them")


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raises BrokerNotUpdated when the body takes longer. For the main thread only."""

    def expire(*_: object) -> None:
        raise BrokerNotUpdated(f"the broker did not finish within {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def renew(settings: EnrollSettings) -> None:
    """Renew the certificates of the authorities, the broker and the services now.

    Raises:
        SettingsError, BrokerNotUpdated: with the latter, all files have been written.
    """
    with files.locked(Path(settings.authority_dir)):
        authority = _open_authority(settings)
        authority.renew()
        services.keep(authority, settings, force=True)
        live = LiveBroker(settings, authority)
        if live.runs():
            live.command(access.admission())
    say("existing bundles keep working: the authorities' keys are the same")


def retire(settings: EnrollSettings) -> None:
    """Revoke the root's certificates of clients that have newer ones of another authority.

    Raises:
        SettingsError.
    """
    with files.locked(Path(settings.authority_dir)):
        authority = _open_authority(settings)
        services.keep(authority, settings)
        authority.ledger.revoke_replaced()
        services.keep(authority, settings)
        left = sorted({entry.name for entry in authority.ledger.from_root})
    say(
        f"not renewed yet: {', '.join(left)}"
        if left
        else "the root is no longer trusted for clients"
    )


def show(settings: EnrollSettings) -> None:
    """Print the certificates that have not expired as a table on stdout; days are UTC."""
    ledger = Ledger(Path(settings.authority_dir) / "ledger.json")
    if not ledger.exists:
        say("no device is enrolled yet")
    rows = [("NAME", "SINCE", "UNTIL", "REVOKED", "AUTHORITY")]
    for entry in ledger.unexpired():
        revoked = day(entry.revoked) if entry.revoked else "-"
        dates = (day(entry.since), day(entry.until), revoked)
        rows.append((entry.name, *dates, entry.authority))
    width = max(len(row[0]) for row in rows)
    for row in rows:
        sys.stdout.write(f"{row[0]:<{width}}  {row[1]:<10}  {row[2]:<10}  {row[3]:<10}  {row[4]}\n")
    left = sorted({entry.name for entry in ledger.from_root} - RESERVED)
    if left:
        say(
            f"still using a certificate from the root: {', '.join(left)}; renew them, then `retire`"
        )


def _check(device: str) -> None:
    try:
        if name(device) in RESERVED:
            raise ValueError("is reserved for a service: choose another name for the device")
    except ValueError as error:
        raise SettingsError([f"{device!r} {error}"]) from None


def _open_authority(settings: EnrollSettings) -> Authority:
    return Authority(Path(settings.authority_dir), settings.authority_days)


def _hand_out(content: bytes) -> None:
    try:
        # Not by sys.stdout, which would try once more at the end of the program.
        with open(sys.stdout.fileno(), "wb", closefd=False) as out:
            out.write(content)
    except OSError as error:
        text = f"the file could not be written: {error.strerror}; run this again"
        raise SettingsError([text]) from None
