"""Settings that cannot work: the gallery ends with a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from testing.mqtt.mosquitto import Mosquitto
from testing.services.gallery import Gallery
from testing.services.process import Service
from testing.store.nanio import Store


def wrong_secret(settings: dict[str, str]) -> dict[str, str]:
    return {**settings, "COS_SECRET_ACCESS_KEY": "wrong"}


def wrong_bucket(settings: dict[str, str]) -> dict[str, str]:
    return {**settings, "COS_BUCKET": "another"}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (wrong_secret, "COS_SECRET_ACCESS_KEY does not match COS_ACCESS_KEY_ID"),
        (wrong_bucket, "there is no bucket COS_BUCKET=another"),
    ],
)
def test_what_only_a_person_can_mend_ends_it_with_a_sentence(
    cloud: Mosquitto,
    store: Store,
    tmp_path: Path,
    spoil: Callable[[dict[str, str]], dict[str, str]],
    says: str,
) -> None:
    settings = spoil(store.settings)
    with Service(
        "gallery",
        MQTT_PORT=cloud.port,
        METRICS_PORT=0,
        GALLERY_DATA=tmp_path / "gallery",
        **settings,
    ) as gallery:
        assert gallery.wait() == 2
        assert f"gallery: {says}" in gallery.log
        assert "Traceback" not in gallery.log


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"HTTP_HOST": "0.0.0.0"}, "HTTP_HOST=0.0.0.0 needs HTTP_CERT and HTTP_KEY"),
        ({"GALLERY_USERS": "anna:boss:x"}, "GALLERY_USERS .*anna"),
        ({"GALLERY_DATA": "/proc/nowhere"}, "GALLERY_DATA=/proc/nowhere"),
        ({"RETENTION_DAYS": "-1"}, "RETENTION_DAYS must be a whole number"),
        ({"KEY_TEMPLATE": "{device}.png"}, "KEY_TEMPLATE must have {id}"),
        ({"HTTP_PORT": "9114", "METRICS_PORT": "9114"}, "METRICS_PORT must differ"),
    ],
)
def test_bad_settings_end_it_with_a_sentence_that_names_them(
    cloud: Mosquitto, store: Store, tmp_path: Path, settings: dict[str, str], says: str
) -> None:
    given = {"MQTT_PORT": cloud.port, "METRICS_PORT": 0, "GALLERY_DATA": tmp_path / "gallery"}
    with Service("gallery", **{**given, **store.settings, **settings}) as gallery:
        assert gallery.wait() == 2
        assert re.search(f"gallery: {says}", gallery.log), gallery.log
        assert "Traceback" not in gallery.log


def test_a_port_that_is_taken_is_said(cloud: Mosquitto, store: Store, tmp_path: Path) -> None:
    with Gallery(
        store, tmp_path / "gallery", MQTT_PORT=cloud.port, HTTP_PORT=cloud.port
    ) as gallery:
        assert gallery.wait() == 2
        assert f"HTTP_HOST and HTTP_PORT: cannot listen on 127.0.0.1:{cloud.port}" in gallery.log
