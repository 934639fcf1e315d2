"""What a person can ask for: enrol, revoke, list, renew."""

from __future__ import annotations

import sys
from pathlib import Path

from common.settings import SettingsError, name
from enroll import access, files, services
from enroll.authority import Authority
from enroll.ledger import RESERVED, Ledger
from enroll.live import Live
from enroll.settings import EnrollSettings
from enroll.talk import NotTold
from enroll.words import day, say


def enrol(settings: EnrollSettings, device: str) -> None:
    """Give a device a certificate, or the next one; its bundle goes to stdout.

    Raises:
        SettingsError, NotTold: the bundle is out by then with the latter.
    """
    _check(device)
    with files.locked(Path(settings.authority_dir)):
        authority = _opened(settings)
        services.keep(authority, settings)
        known = [entry for entry in authority.ledger.entries if entry.name == device]
        made = authority.enrol(device, settings.device_days)
        services.admit(authority, settings)
        _hand_out(authority.bundle(made))
        say(f"{device} is enrolled until {day(made.certificate.not_valid_after_utc)}")
        good = max((entry.until for entry in known if entry.good), default=None)
        if good:
            say(f"its old certificate stays good until {day(good)}; write the new one into the")
            say("device's file, and it is taken up by itself")
        else:
            if any(entry.revoked for entry in known):
                say("it was revoked: this is a new identity; the old ones remain revoked")
            say("next: copy the file to the Jetson; set CLOUD_BUNDLE there to its path, and")
            say(f"DEVICE to {device}; then delete it elsewhere, for it holds the device's key")
        if sys.stdout.isatty():
            say(f"to have it in a file, end the command with: > {device}.pem")
        live = Live(settings, authority)
        if live.runs():
            live.tell(access.admission(device))
        else:
            say(f"the broker is not running: it will know {device} when it starts")


def revoke(settings: EnrollSettings, device: str) -> None:
    """Cut a device off: all its certificates, and its open connection.

    Raises:
        SettingsError: there is no such device.
        NotTold: it is cut off when the broker starts again, or this is run again.
    """
    _check(device)
    with files.locked(Path(settings.authority_dir)):
        authority = _opened(settings)
        if device not in {entry.name for entry in authority.ledger.entries}:
            raise SettingsError([f"there is no device {device!r}; `list` shows whom there is"])
        services.keep(authority, settings)
        authority.ledger.revoke(device)
        canary = services.shut_out(authority, settings)
        say(f"{device} is revoked; to enrol it again would make a new identity")
        live = Live(settings, authority)
        if not live.runs():
            say("the broker is not running: it will go by that when it starts")
            return
        try:
            # Before its connection is ended: it would be back at once.
            live.refuses(canary)
        finally:
            live.tell(access.dismissal(device))
        say("the broker has ended its connection and refuses its certificates")
        try:
            live.forget(device)
        except NotTold as error:
            # It is cut off all the same: what it has left cannot undo that, nor hold up the next.
            say(f"what it had retained is not all gone: {error}; a restart of the broker ends it")


def renew(settings: EnrollSettings) -> None:
    """Certify the authority, the broker and our services anew, now.

    Raises:
        SettingsError, NotTold: all is written by then with the latter.
    """
    with files.locked(Path(settings.authority_dir)):
        authority = _opened(settings)
        if not authority.renewed:
            authority.renew()
        services.keep(authority, settings, anew=True)
        live = Live(settings, authority)
        if live.runs():
            live.tell(access.admission())
    say("bundles given out before go on working: the authority's key is the same")


def show(settings: EnrollSettings) -> None:
    """The certificates that still matter, as a table on stdout; days are UTC's."""
    ledger = Ledger(Path(settings.authority_dir) / "ledger.json")
    if not ledger.exists:
        say("nobody is enrolled yet")
    rows = [("NAME", "SINCE", "UNTIL", "REVOKED")]
    for entry in ledger.shown():
        revoked = day(entry.revoked) if entry.revoked else "-"
        rows.append((entry.name, day(entry.since), day(entry.until), revoked))
    width = max(len(row[0]) for row in rows)
    for row in rows:
        sys.stdout.write(f"{row[0]:<{width}}  {row[1]:<10}  {row[2]:<10}  {row[3]}\n")


def _check(device: str) -> None:
    try:
        if name(device) in RESERVED:
            raise ValueError("is a name of our own: take another for a device")
    except ValueError as error:
        raise SettingsError([f"{device!r} {error}"]) from None


def _opened(settings: EnrollSettings) -> Authority:
    return Authority(Path(settings.authority_dir), settings.authority_days)


def _hand_out(bundle: str) -> None:
    try:
        # Not by sys.stdout, which would try once more at the end of the program.
        with open(sys.stdout.fileno(), "w", encoding="ascii", closefd=False) as out:
            out.write(bundle)
    except OSError as error:
        text = f"the bundle could not be written out: {error.strerror}; run this again"
        raise SettingsError([text]) from None
