"""Who was given which certificate, and whose are revoked: the authority's memory, as JSON."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path
from typing import Any

from cryptography import x509

from common.settings import SettingsError
from enroll import files
from enroll.certificates import now

# CNs and client ids of our own services, and words of the protocol and of the command line.
RESERVED = {"cloud", "broker", "processor", "gallery", "enroll", "health"}
RESERVED |= {"list", "revoke", "renew"}
RESERVED |= {"unknown", "rejected"}


@dataclasses.dataclass(frozen=True)
class LedgerEntry:
    """One certificate."""

    name: str
    serial: int
    since: datetime.datetime
    until: datetime.datetime
    revoked: datetime.datetime | None = None

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
        }

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> LedgerEntry:
        moment = datetime.datetime.fromisoformat
        revoked = moment(entry["revoked"]) if entry["revoked"] else None
        serial = int(entry["serial"], 16)
        return cls(entry["name"], serial, moment(entry["since"]), moment(entry["until"]), revoked)


class Ledger:
    """Each change is on disk before anything that follows from it leaves the house."""

    def __init__(self, path: Path) -> None:
        """Raises SettingsError for a file that cannot be understood: to begin a new one would
        bring back everybody who was revoked."""
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

    def add(self, name: str, certificate: x509.Certificate) -> None:
        until = certificate.not_valid_after_utc
        self.entries.append(LedgerEntry(name, certificate.serial_number, now(), until))
        self.save()

    def revoke(self, name: str) -> None:
        """All of the name's certificates that have not ended."""
        for number, entry in enumerate(self.entries):
            if entry.name == name and entry.good:
                self.entries[number] = dataclasses.replace(entry, revoked=now())
        self.save()

    @property
    def devices(self) -> list[str]:
        """Those that may come in now."""
        return sorted({e.name for e in self.entries if e.good and e.name not in RESERVED})

    @property
    def revoked(self) -> list[tuple[int, datetime.datetime]]:
        """Serial numbers and moments; those that have ended need no revocation any more."""
        return [(e.serial, e.revoked) for e in self.entries if e.revoked and not e.ended]

    def shown(self) -> list[LedgerEntry]:
        """The certificates that still matter, and the last one of each name."""
        last = {entry.name: entry for entry in self.entries}
        shown = [e for e in self.entries if not e.ended or last[e.name] is e]
        return sorted(shown, key=lambda e: (e.name, e.since))
