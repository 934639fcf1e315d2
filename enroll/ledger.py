"""Which certificates were issued to whom, and which are revoked: the ledger, as JSON."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path
from typing import Any

from cryptography import x509

from common.protocol.topics import DOCTOR
from common.settings import SettingsError
from enroll import files
from enroll.certificates import now

ROOT, DEVICES, SERVICES = "root", "devices", "services"  # names of the authorities

# CNs and client ids of our own services, and words of the protocol and of the command line.
RESERVED = {"cloud", "broker", "processor", "gallery", "enroll", "health", DOCTOR}
RESERVED |= {"list", "revoke", "renew", "retire"}
RESERVED |= {"unknown", "rejected"}


@dataclasses.dataclass(frozen=True)
class LedgerEntry:
    """One certificate."""

    name: str
    serial: int
    since: datetime.datetime
    until: datetime.datetime
    revoked: datetime.datetime | None = None
    authority: str = ROOT  # the only one at first: entries of that time do not name it

    @property
    def ended(self) -> bool:
        return self.until < now()

    @property
    def good(self) -> bool:
        return self.revoked is None and not self.ended

    def to_json(self) -> dict[str, str | None]:
        return {
            "name": self.name,
            "serial": f"{self.serial:x}",
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "revoked": self.revoked.isoformat() if self.revoked else None,
            "authority": self.authority,
        }

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> LedgerEntry:
        moment = datetime.datetime.fromisoformat
        revoked = moment(entry["revoked"]) if entry["revoked"] else None
        since, until = moment(entry["since"]), moment(entry["until"])
        authority = entry.get("authority", ROOT)
        return cls(entry["name"], int(entry["serial"], 16), since, until, revoked, authority)


class Ledger:
    """Each change is on disk before anything that results from it is written or sent.

    Raises:
        SettingsError: the file is damaged. To start a new one would readmit all revoked devices.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        content = files.read(path)
        self.exists = content is not None
        try:
            loaded = json.loads(content)["certificates"] if content is not None else []
            self.entries = [LedgerEntry.from_json(entry) for entry in loaded]
        except (ValueError, KeyError, TypeError) as error:
            text = f"{path} is damaged ({error}): restore it from the backup of its folder"
            raise SettingsError([text]) from None

    def save(self) -> None:
        content = {"certificates": [entry.to_json() for entry in self.entries]}
        files.write(self._path, json.dumps(content, indent=1) + "\n", files.SECRET)
        self.exists = True

    def add(self, name: str, certificate: x509.Certificate, authority: str) -> None:
        serial, until = certificate.serial_number, certificate.not_valid_after_utc
        self.entries.append(LedgerEntry(name, serial, now(), until, authority=authority))
        self.save()

    def revoke(self, name: str) -> None:
        """All of the name's certificates that have not ended."""
        for number, entry in enumerate(self.entries):
            if entry.name == name and entry.good:
                self.entries[number] = dataclasses.replace(entry, revoked=now())
        self.save()

    def revoke_replaced(self) -> None:
        """The root's certificates of clients that have one of another authority."""
        renewed = {entry.name for entry in self.entries if entry.good and entry.authority != ROOT}
        for number, entry in enumerate(self.entries):
            if entry in self.from_root and entry.name in renewed:
                self.entries[number] = dataclasses.replace(entry, revoked=now())
        self.save()

    @property
    def devices(self) -> list[str]:
        """The devices that may connect now."""
        return sorted({e.name for e in self.entries if e.good and e.name not in RESERVED})

    def revoked(self, authority: str) -> list[tuple[int, datetime.datetime]]:
        """Serial numbers and times; expired certificates need no revocation any more."""
        entries = [one for one in self.entries if one.authority == authority and not one.ended]
        return [(one.serial, one.revoked) for one in entries if one.revoked]

    @property
    def from_root(self) -> list[LedgerEntry]:
        """The good certificates of clients from before devices and services had authorities."""
        return [e for e in self.entries if e.good and e.authority == ROOT and e.name != "broker"]

    def unexpired(self) -> list[LedgerEntry]:
        """The certificates that have not expired, and the last one of each name."""
        last = {entry.name: entry for entry in self.entries}
        shown = [e for e in self.entries if not e.ended or last[e.name] is e]
        return sorted(shown, key=lambda e: (e.name, e.since))
