"""What an earlier run has left retained at the broker for Home Assistant."""

from __future__ import annotations

import json
import logging
from functools import partial
from pathlib import Path

from common.mqtt import Client

log = logging.getLogger(__name__)


class RetainedCleanup:
    """Takes away what an earlier run has left retained, and this one will not renew.

    A file beside the outbox tells which topics those are: a detector that is told to be off would
    else not know that it was on, or under which names.
    """

    def __init__(self, link: Client, note: Path, wanted: list[str]) -> None:
        self._link = link
        self._note = note
        self._wanted = wanted
        known = self._read()
        self._stale = {topic for topic in known if topic not in wanted}
        if {*wanted} - {*known}:
            self._write([*known, *sorted({*wanted} - {*known})])
        if self._stale:
            link.on_up.append(self._clear)

    def _clear(self) -> None:
        for topic in sorted(self._stale):
            self._link.publish(
                topic,
                b"",
                qos=1,  # for its answer
                retain=True,
                done=partial(self._cleared, topic),
            )

    def _cleared(self, topic: str, reason: str | None) -> None:
        if reason is not None or topic not in self._stale:
            return
        self._stale.remove(topic)
        if not self._stale:
            log.info("what an earlier run has told Home Assistant is taken back")
            self._write(self._wanted)

    def _read(self) -> list[str]:
        try:
            return [str(topic) for topic in json.loads(self._note.read_text())]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            log.warning("cannot read %s: %s", self._note, error)
            return []

    def _write(self, topics: list[str]) -> None:
        try:
            if topics:
                self._note.parent.mkdir(parents=True, exist_ok=True)
                self._note.write_text(json.dumps(topics))
            else:
                self._note.unlink(missing_ok=True)
        except OSError as error:
            log.warning(
                "cannot note what Home Assistant is told: %s; if this is turned off again,"
                " its entities have to be removed by hand",
                error,
            )
