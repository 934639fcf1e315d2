"""`HOMEASSISTANT=1`: the last face and the counters, for a Home Assistant at the edge broker."""

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
from detector.homeassistant.discovery import HomeAssistantTopics, encode_config
from detector.homeassistant.retained_cleanup import RetainedCleanup
from detector.settings import DetectorSettings

log = logging.getLogger(__name__)

PAUSE = 1.0  # seconds from one message to the next
MAX_BYTES = 8 * 1024 * 1024  # that may wait: a face, its successor, and the discovery message


class HomeAssistantPublisher(Protocol):
    """What the detector's loop does for Home Assistant; nothing, when it is off."""

    def show(self, face: Face) -> None:
        """A face has been sent off."""

    def facts(self) -> dict[str, Any]:
        """For the status message."""

    def leave(self) -> None:
        """The detector ends."""


class NullPublisher:
    def show(self, face: Face) -> None:
        pass

    def facts(self) -> dict[str, Any]:
        return {}

    def leave(self) -> None:
        pass


def create_publisher(
    settings: DetectorSettings, link: Client, service: Service
) -> HomeAssistantPublisher:
    """To be called when nothing else will be set on the link."""
    note = settings.outbox.with_suffix(".homeassistant")
    if not settings.homeassistant:
        RetainedCleanup(link, note, [])
        return NullPublisher()
    topics = HomeAssistantTopics.of(settings)
    RetainedCleanup(link, note, [topics.config, topics.face])
    told = HomeAssistant(link, topics, encode_config(settings, topics), settings.homeassistant_keep)
    service.spawn(told.keep_telling(), "home assistant")
    log.info("Home Assistant finds this camera at %s", topics.config)
    return told


class HomeAssistant:
    """All calls from the event loop."""

    def __init__(
        self, link: Client, topics: HomeAssistantTopics, about: bytes, keep: float
    ) -> None:
        self._topics = topics
        self._about = about
        self._keep = keep
        self._link = link
        self._news = asyncio.Event()
        self._wanted = False  # the discovery message
        self._face: Face | None = None  # the newest one, until it is on its way
        self._last: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._seldom = RateLimitedLogger(log)
        link.on_up.append(self._announce)
        self._out = SendQueue(link, MAX_BYTES)
        self._others = link.on_message
        link.on_message = self._heard
        link.subscribe_to(topics.birth, retained=False)  # with each connection all is told anyway
        self._blank()  # in place of what an earlier run may have left

    def show(self, face: Face) -> None:
        self._face, self._last = face, face.facts["captured"]
        self._news.set()

    def facts(self) -> dict[str, Any]:
        return {"last_face": self._last}

    def leave(self) -> None:
        """No face stays; what the camera is stays, else its owner's names for it would be lost."""
        if self._timer is not None:
            self._timer.cancel()
        self._face = None
        self._out.clear("shutdown")
        self._link.publish(self._topics.face, b"", qos=0, retain=True)

    def _announce(self) -> None:
        self._wanted = True
        self._news.set()

    def _heard(self, message: Message, ack: Ack) -> None:
        if message.topic != self._topics.birth:
            self._others(message, ack)
            return
        ack()
        if message.payload == b"online":
            self._announce()

    async def keep_telling(self) -> None:
        """Publish what is new, the newest face only, and never faster than PAUSE."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self._wanted:
                self._wanted = False
                self._put("config", self._topics.config, self._about, "application/json")
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
        self._out.put(
            OutboundMessage(
                topic,
                payload,
                pack_properties(properties),
                True,
                key,
                expires_at,
                on_settled=self._settled,
            )
        )

    def _settled(self, reason: str | None) -> None:
        if reason in ("too_large", "refused"):
            self._seldom.warn(reason, "the broker does not take what is for Home Assistant")

    def _blank_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._blank)

    def _blank(self) -> None:
        """Home Assistant knows no expiry: it would show the face until the next one comes."""
        self._put("face", self._topics.face, BLANK, CONTENT_TYPE)


def _blank_picture() -> bytes:
    """A PNG of one transparent pixel."""
    return cv2.imencode(".png", np.zeros((1, 1, 4), np.uint8))[1].tobytes()


BLANK = _blank_picture()
