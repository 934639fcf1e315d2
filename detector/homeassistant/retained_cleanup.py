"""Retained messages for Home Assistant that an earlier run has left at the broker."""

from __future__ import annotations

import json
import logging
from functools import partial
from pathlib import Path

from common.mqtt import Client

log = logging.getLogger(__name__)


class RetainedCleanup:
    """Deletes the retained messages of earlier runs that this run will not replace.

    A file beside the outbox names their topics. Otherwise a detector with HOMEASSISTANT=0 would
    not know that it was on before, or under which names.
    """

    def __init__(self, client: Client, note: Path, wanted: list[str]) -> None:
        self._client = client
        self._note = note
        self._wanted = wanted
        known = self._read()
        self._stale = {topic for topic in known if topic not in wanted}
        if {*wanted} - {*known}:
            self._write([*known, *sorted({*wanted} - {*known})])
        if self._stale:
            client.on_up.append(self._clear)

    def _clear(self) -> None:
        for topic in sorted(self._stale):
            self._client.publish(
                topic,
                b"",
                qos=1,  # to learn of its success
                retain=True,
                done=partial(self._on_cleared, topic),
            )

    def _on_cleared(self, topic: str, reason: str | None) -> None:
        if reason is not None or topic not in self._stale:
            return
        self._stale.remove(topic)
        if not self._stale:
            log.info("deleted the messages that an earlier run published for Home Assistant")
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
                "cannot save which topics Home Assistant reads: %s; if you turn it off again,"
                " remove its entities by hand",
                error,
            )
