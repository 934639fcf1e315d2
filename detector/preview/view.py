"""The preview: the newest picture with its marks, and the last faces sent.

The vision thread hands frames over. The preview's own thread encodes each once for all viewers.
Each viewer takes the newest in a thread of the web server. A slow viewer misses frames, and
delays nobody else.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import cv2

from common import metrics as common_metrics
from common.runtime.health import Health
from detector import metrics
from detector.picture import Picture
from detector.planes import Image
from detector.preview import parts
from detector.preview.parts import Mark

log = logging.getLogger(__name__)

MAX_VIEWERS = 4
PERIOD = 0.1  # seconds from picture to picture, on average at least
FACES = 12  # the last faces sent that are kept
SMALL_EVERY = 1.0  # seconds from one small picture to the next
GLANCE = 3.0  # seconds that a viewer of all cameras counts as one after a request
STATE_EVERY = 1.0  # seconds after which viewers get the state even if there is nothing new


class TooManyViewers(Exception):
    """There are MAX_VIEWERS already."""


@dataclasses.dataclass(frozen=True)
class _Raw:
    """A reduced picture that waits to be encoded; facts for the page."""

    picture: Image
    facts: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class _Part:
    """What viewers get; `serial` grows from part to part."""

    serial: int
    data: bytes


class Preview:
    """One camera. Written by the vision thread, read by the web server's; `about` are facts.

    It costs nothing without viewers: `watched` is False then, and nothing is stored.
    """

    def __init__(self, health: Health, about: dict[str, Any] | None = None) -> None:
        self._health = health
        self._about = about or {}
        self._news = threading.Condition()
        self._viewers = 0
        self._serial = 0
        self._raw: _Raw | None = None
        self._pngs: collections.deque[tuple[bytes, dict[str, str]]]
        self._pngs = collections.deque(maxlen=FACES)
        self._frame: _Part | None = None
        self._faces: collections.deque[_Part] = collections.deque(maxlen=FACES)
        self._seen_at = 0.0  # monotonic: the last frame, or the first viewer's arrival
        self._due = 0.0  # when the next picture is due; used by the vision thread only
        self._flashed: set[int] = set()  # tracks sent since the last picture
        self._encoder: threading.Thread | None = None
        self._small = b""  # JPEG
        self._small_at = 0.0  # monotonic: when that was taken
        self._glanced_at = float("-inf")

    @property
    def watched(self) -> bool:
        """Whether there is a viewer just now who would get the next frame."""
        return self._viewers > 0 or self._is_small_due()

    def _is_small_due(self) -> bool:
        now = time.monotonic()
        return now - self._glanced_at < GLANCE and now - self._small_at >= SMALL_EVERY

    def glance(self) -> bytes:
        """A small picture with the camera's state, as a part; no picture for the first time."""
        now = time.monotonic()
        if now - self._glanced_at >= GLANCE:
            self._small, self._small_at = b"", now - SMALL_EVERY
        self._glanced_at = now
        facts = {"kind": "small", **self._about, "reasons": self._health.reasons()}
        return parts.part({**facts, "age": round(now - self._small_at, 1)}, self._small)

    def show(self, picture: Picture, marks: list[Mark], figures: dict[str, float]) -> None:
        """Offer a frame, of which at most a smaller copy is kept.

        `figures` are shown under their names; those that end in `_ms` also as parts of a bar.
        Call it from one thread only.
        """
        if self._is_small_due():
            self._small = parts.jpeg(parts.shrink_picture(picture, parts.SMALL_WIDTH))
            self._small_at = time.monotonic()
        if not self._viewers:
            return
        self._flashed |= {mark.track for mark in marks if mark.sent}
        now = time.monotonic()
        if now < self._due:
            return
        self._due = max(self._due, now - PERIOD / 2) + PERIOD  # cameras are not quite regular
        facts = {
            "kind": "frame",
            "size": [picture.shape[1], picture.shape[0]],
            "marks": [parts.encode_state(mark, self._flashed) for mark in marks],
            "verdicts": parts.verdicts(marks),
            "figures": {name: parts.to_plain(value) for name, value in figures.items()},
        }
        raw = _Raw(parts.shrink_picture(picture), facts)
        self._flashed = set()
        with self._news:
            if self._viewers:
                self._raw = raw
                self._seen_at = now
                self._news.notify_all()

    def show_face(self, png: bytes, facts: dict[str, str]) -> None:
        """Show a face that is sent, among the last ones."""
        with self._news:
            if self._viewers:
                self._pngs.append((png, facts))
                self._news.notify_all()

    @contextlib.contextmanager
    def watch(self) -> Iterator[Iterator[bytes]]:
        """Count as a viewer; gives an endless iterator of parts to send.

        A part is a line of JSON, followed by as many bytes of JPEG as its `bytes` says.

        Raises:
            TooManyViewers: there are MAX_VIEWERS already.
        """
        with self._news:
            if self._viewers >= MAX_VIEWERS:
                raise TooManyViewers
            if not self._viewers:
                self._seen_at = time.monotonic()
            self._viewers += 1
            metrics.PREVIEW_VIEWERS.set(self._viewers)
            if self._encoder is None:
                self._encoder = threading.Thread(target=self._encode, name="preview", daemon=True)
                self._encoder.start()
        try:
            yield self._parts()
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._news:
            self._viewers -= 1
            metrics.PREVIEW_VIEWERS.set(self._viewers)
            if not self._viewers:
                self._raw = self._frame = None
                self._pngs.clear()
                self._faces.clear()

    def _parts(self) -> Iterator[bytes]:
        yield parts.part({"kind": "hello", **self._about})
        seen = 0
        while True:
            with self._news:
                self._wait_for_newer(seen)
                new = [part for part in self._all() if part.serial > seen]
                seen = self._serial
            # Before the picture, since it states the picture's age.
            yield parts.part(self._state())
            for part in new:
                yield part.data

    def _all(self) -> Iterator[_Part]:
        yield from self._faces
        if self._frame is not None:
            yield self._frame

    def _wait_for_newer(self, seen: int) -> None:
        self._news.wait_for(lambda: self._serial > seen, STATE_EVERY)

    def _state(self) -> dict[str, Any]:
        return {
            "kind": "state",
            "age": round(time.monotonic() - self._seen_at, 1),
            "reasons": self._health.reasons(),
            "stuck": self._health.stuck(),
        }

    def _encode(self) -> None:
        """Encode what is new, in the preview's own thread."""
        while True:
            with self._news:
                self._news.wait_for(lambda: self._raw or self._pngs)
                raw, self._raw = self._raw, None
                png, facts = self._pngs.popleft() if self._pngs else (b"", {})
            try:
                face = parts.face(png, facts) if png else b""
                frame = parts.part(raw.facts, parts.jpeg(raw.picture)) if raw else b""
            except cv2.error:
                log.exception("cannot encode a picture for the preview")
                common_metrics.ERRORS.labels("preview").inc()
                continue
            with self._news:
                if face:
                    self._faces.append(self._number(face))
                if frame:
                    self._frame = self._number(frame)
                if not self._viewers:  # the last one left meanwhile
                    self._frame = None
                    self._faces.clear()
                self._news.notify_all()

    def _number(self, data: bytes) -> _Part:
        self._serial += 1
        return _Part(self._serial, data)
