"""`HOMEASSISTANT=1`: the last face and the counters, for Home Assistant at the edge broker."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Protocol

import cv2
import numpy as np
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from common.mqtt import Ack, Client, Message, OutboundMessage, SendQueue, pack_properties
from common.protocol.face import CONTENT_TYPE, Face
from common.runtime.logs import RateLimitedLogger
from common.service import Service
from detector.homeassistant.discovery import (
    HomeAssistantOptions,
    HomeAssistantTopics,
    encode_config,
)
from detector.homeassistant.retained_cleanup import RetainedCleanup

log = logging.getLogger(__name__)

PAUSE = 1.0  # seconds from one message to the next
MAX_BYTES = 8 * 1024 * 1024  # in the queue: a face, its successor, and the discovery message


class HomeAssistantPublisher(Protocol):
    """What the detector's loop reports to Home Assistant."""

    def show(self, face: Face) -> None:
        """Show a face that was captured."""

    def figures(self) -> dict[str, Any]:
        """Figures for the status message."""

    def leave(self) -> None:
        """Clean up before the detector ends."""


class NullPublisher:
    """Does nothing: Home Assistant is off."""

    def show(self, face: Face) -> None:
        pass

    def figures(self) -> dict[str, Any]:
        return {}

    def leave(self) -> None:
        pass


def create_publisher(
    options: HomeAssistantOptions, client: Client, service: Service
) -> HomeAssistantPublisher:
    """The publisher, or one that does nothing."""
    if not options.enabled:
        RetainedCleanup(client, options.note, [])
        return NullPublisher()
    topics = HomeAssistantTopics.of(options)
    RetainedCleanup(client, options.note, [topics.config, topics.face])
    publisher = HomeAssistant(client, topics, encode_config(options, topics), options.keep)
    service.spawn(publisher.keep_publishing(), "home assistant")
    log.info("Home Assistant discovers this camera at %s", topics.config)
    return publisher


class HomeAssistant:
    """Publishes the newest face, and the discovery message. Call it from the event loop only."""

    def __init__(
        self, client: Client, topics: HomeAssistantTopics, config: bytes, keep: float
    ) -> None:
        self._topics = topics
        self._config = config
        self._keep = keep
        self._client = client
        self._news = asyncio.Event()
        self._config_due = False
        self._face: Face | None = None  # the newest one, until it is queued
        self._last: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._limited_log = RateLimitedLogger(log)
        client.on_up.append(self._announce)
        self._queue = SendQueue(client, MAX_BYTES)
        client.listen_to(topics.birth, self._on_birth, retained=False)  # connections announce, too
        self._blank()  # replaces what an earlier run may have left

    def show(self, face: Face) -> None:
        self._face, self._last = face, face.facts["captured"]
        self._news.set()

    def figures(self) -> dict[str, Any]:
        return {"last_face": self._last}

    def leave(self) -> None:
        """Remove the face; the camera stays, or its owner's names for it would be lost."""
        if self._timer is not None:
            self._timer.cancel()
        self._face = None
        self._queue.clear("shutdown")
        self._client.publish(self._topics.face, b"", qos=0, retain=True)

    def _announce(self) -> None:
        self._config_due = True
        self._news.set()

    def _on_birth(self, message: Message, ack: Ack) -> None:
        ack()
        if message.payload == b"online":
            self._announce()

    async def keep_publishing(self) -> None:
        """Publish what is new, of faces only the newest, at most once per PAUSE."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self._config_due:
                self._config_due = False
                self._put("config", self._topics.config, self._config, "application/json")
            if self._face is not None:
                self._put("face", self._topics.face, self._face.png, CONTENT_TYPE, self._keep)
                self._face = None
                self._blank_after(self._keep)
            await asyncio.sleep(PAUSE)

    def _put(
        self, key: str, topic: str, payload: bytes, kind: str, keep: float | None = None
    ) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = kind
        expires_at = None if keep is None else time.monotonic() + keep
        self._queue.put(
            OutboundMessage(
                topic,
                payload,
                pack_properties(properties),
                True,
                key,
                expires_at,
                on_settled=self._on_settled,
            )
        )

    def _on_settled(self, reason: str | None) -> None:
        if reason in ("too_large", "refused"):
            self._limited_log.warn(reason, "the broker refuses messages for Home Assistant")

    def _blank_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._blank)

    def _blank(self) -> None:
        """Replace the face, which Home Assistant would show for ever: it knows no expiry."""
        self._put("face", self._topics.face, BLANK, CONTENT_TYPE)


def _blank_picture() -> bytes:
    """A PNG of one transparent pixel."""
    return cv2.imencode(".png", np.zeros((1, 1, 4), np.uint8))[1].tobytes()


BLANK = _blank_picture()
