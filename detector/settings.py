"""The detector's settings, beside those that all services have."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterator
from pathlib import Path

from common.http.exposure import PageSettings
from common.service_settings import http_port
from common.settings import (
    SettingsError,
    boolean,
    choice,
    file,
    integer,
    number,
    setting,
    text,
    topic,
)
from detector.camera_file import read_cameras
from detector.camera_settings import ONE_CAMERA, CameraSettings
from detector.homeassistant.discovery import HomeAssistantOptions
from detector.parsers import topics_overlap
from detector.preview.access import Access, PreviewOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectorSettings(PageSettings, CameraSettings):
    """All settings. Those of `CameraSettings` are the camera's, or the defaults of `CAMERAS`."""

    http_port: int = http_port(9101)
    cameras_file: str = setting(
        "CAMERAS",
        file,
        "TOML file of several cameras, in place of CAMERA: a table per camera, with the keys below",
        default="",
    )
    delivery: str = setting(
        "DELIVERY",
        choice("once", "receipt"),
        "once: publish and forget; receipt: resend each face until it is stored",
        default="once",
    )
    outbox_path: str = setting(
        "OUTBOX_PATH",
        text,
        "folder for faces without a receipt (DELIVERY=receipt); it must survive a restart",
        default=os.path.join(
            os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"), "facepipe"
        ),
    )
    outbox_max_mb: int = setting(
        "OUTBOX_MAX_MB",
        integer(1, 1_000_000),
        "megabytes of faces that may wait before the oldest are dropped (64 with DELIVERY=once)",
        default=1000,
    )
    outbox_max_days: float = setting(
        "OUTBOX_MAX_DAYS", number(0.001, 10_000), "days that a face may wait", default=7.0
    )
    outbox_window: int = setting(
        "OUTBOX_WINDOW", integer(1, 1000), "maximum number of faces in flight", default=32
    )
    outbox_order: str = setting(
        "OUTBOX_ORDER",
        choice("newest", "oldest"),
        "which waiting faces are sent first",
        default="newest",
    )
    preview: bool = setting(
        "PREVIEW", boolean, "1: serve a page with the live picture on HTTP_PORT", default=False
    )
    preview_password: str = setting(
        "PREVIEW_PASSWORD",
        text,
        "password of the preview; required if HTTP_HOST is not loopback, as in a container",
        default="",
        secret=True,
    )
    metrics_port: int | None = setting(
        "METRICS_PORT",
        integer(0, 65535),
        "port for /healthz and /metrics if HTTP_PORT is for the preview only",
        default=None,
    )
    homeassistant: bool = setting(
        "HOMEASSISTANT", boolean, "1: show this camera to Home Assistant", default=False
    )
    homeassistant_prefix: str = setting(
        "HOMEASSISTANT_PREFIX", topic, "discovery prefix of Home Assistant", default="homeassistant"
    )
    homeassistant_keep: int = setting(
        "HOMEASSISTANT_KEEP_SECONDS",
        integer(1, 3600),
        "seconds that Home Assistant keeps a face",
        default=300,
    )

    @functools.cached_property
    def cameras(self) -> list[CameraSettings]:
        """The settings of each camera.

        Raises:
            SettingsError: with all that is wrong in the file of CAMERAS.
        """
        own = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(CameraSettings)
        }
        shared = CameraSettings(**own)
        return read_cameras(self.cameras_file, shared) if self.cameras_file else [shared]

    @property
    def preview_access(self) -> Access:
        return Access(self.publication, self.preview_password, self.metrics_port is not None)

    @property
    def preview_options(self) -> PreviewOptions:
        names = [camera.camera_name for camera in self.cameras]
        about = {
            camera.camera_name: {
                "camera": camera.camera_name,
                "cameras": names,
                "device": self.device,
                "min_face": camera.min_face,
            }
            for camera in self.cameras
        }
        return PreviewOptions(
            self.preview, self.http_host, self.http_port, self.preview_access, about
        )

    def homeassistant_options(self, camera: str) -> HomeAssistantOptions:
        """Those of one camera, by its name."""
        return HomeAssistantOptions(
            enabled=self.homeassistant,
            prefix=self.homeassistant_prefix,
            keep=self.homeassistant_keep,
            topic=self.mqtt_topic,
            device=self.device,
            camera=camera,
            receipts=self.delivery == "receipt",
            note=self.outbox(camera).with_suffix(".homeassistant"),
            lead=self.cameras[0].camera_name,
        )

    def outbox(self, camera: str) -> Path:
        """The database of a camera, by its name."""
        return Path(self.outbox_path) / f"{camera}.db"

    @property
    def health_port(self) -> tuple[str, int]:
        if self.metrics_port is None:
            return super().health_port
        return "METRICS_PORT", self.metrics_port

    def problems(self) -> Iterator[str]:
        yield from PageSettings.problems(self)
        yield from self._camera_problems()
        if self.preview:
            yield from self.preview_access.problems()
            if self.metrics_port and self.metrics_port == self.http_port:
                yield "METRICS_PORT must differ from HTTP_PORT"
        if self.homeassistant and topics_overlap(self.homeassistant_prefix, self.mqtt_topic):
            # Topics below MQTT_TOPIC may be relayed to the cloud.
            yield "HOMEASSISTANT_PREFIX and MQTT_TOPIC must not contain each other"

    def _camera_problems(self) -> Iterator[str]:
        if not self.cameras_file:
            yield from CameraSettings.problems(self)
            return
        if self.camera:
            yield "CAMERA and CAMERAS are both set: set only one of them"
        if self.camera_name != ONE_CAMERA:
            yield "CAMERA_NAME and CAMERAS are both set: each table's name is its camera's"
        try:
            _ = self.cameras
        except SettingsError as error:
            yield from error.problems
