"""`python -m detector --outbox`: what waits in the outbox, whether a detector runs or not."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

from common.protocol.clock import to_rfc3339
from common.settings import SettingsError
from detector.outbox import age
from detector.outbox.accounting import Accounts, format_reasons
from detector.outbox.counter_file import pick_latest, read_counters
from detector.outbox.database import Damaged, OtherVersion, OutboxDatabase, OutboxEntry, Unwritable
from detector.settings import DetectorSettings


def print_outbox(settings: DetectorSettings) -> int:
    """Print the state of each camera's outbox as a table; returns the exit code.

    Raises:
        SettingsError: there is no outbox.
    """
    paths = [settings.outbox(camera.camera_name) for camera in settings.cameras]
    found = [path for path in paths if path.exists()]
    if not found:
        name = "CAMERAS" if settings.cameras_file else "CAMERA_NAME"
        missing = ", ".join(map(str, paths))
        raise SettingsError([f"OUTBOX_PATH and {name}: there is no outbox {missing}"])
    code = 0
    for path in paths:
        if path is not paths[0]:
            sys.stdout.write("\n")
        code = max(code, _print_one(path))
    return code


def _print_one(path: Path) -> int:
    if not path.exists():
        sys.stdout.write(f"{'outbox':<16}{path}, which does not exist yet\n")
        return 0
    books = Accounts()
    try:
        with contextlib.closing(OutboxDatabase(path, look_only=True)) as box:
            entries = box.entries()
            books.load(pick_latest(read_counters(path.with_suffix(".books")), box.books()))
    except (Damaged, OtherVersion, Unwritable, OSError) as error:
        sys.stderr.write(f"detector: {path} cannot be read now: {error}\n")
        return 1
    sys.stdout.write(
        "".join(f"{name:<16}{value}\n" for name, value in _to_rows(path, books, entries))
    )
    return 0


def _to_rows(path: Path, books: Accounts, entries: list[OutboxEntry]) -> list[tuple[str, object]]:
    facts = books.figures()
    oldest = age.age_of(entries[0].boot, entries[0].ticks, entries[0].wall) if entries else None
    return [
        ("outbox", path),
        ("captured", facts["captured"]),
        ("confirmed", facts["confirmed"]),
        ("rejected", format_reasons(facts["rejected"])),
        ("dropped", format_reasons(facts["dropped"])),
        ("waiting", len(entries)),
        ("bytes waiting", sum(entry.size for entry in entries)),
        ("oldest waiting", "-" if oldest is None else f"{oldest:.0f} s"),
        ("last receipt", _format_receipt(facts["last_receipt"])),
        ("round trip", "-" if facts["round_trip"] is None else f"{facts['round_trip']:.3f} s"),
    ]


def _format_receipt(at: float | None) -> str:
    return "-" if at is None else f"{to_rfc3339(at)} ({time.time() - at:.0f} s ago)"
