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
from detector.detection import registry
from detector.detection.model_files import CASCADES, find_yunet
from detector.detection.registry import ENGINES, EngineOptions
from detector.parsers import Region, cascade, quarter_turns, regions, size, topics_overlap
from detector.preview.access import Access
from detector.tracking.options import AnalyzerOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectorSettings(PageSettings):
    http_port: int = http_port(9101)
    camera: str = setting(
        "CAMERA",
        text,
        "webcam (0, /dev/video0), rtsp:// or http:// stream, video file, or folder of images",
        default="0",
        secret=True,
        show=source.shown,
    )
    camera_name: str = setting(
        "CAMERA_NAME", name, "name of this camera, in keys and topics", default="camera-0"
    )
    camera_size: tuple[int, int] | None = setting(
        "CAMERA_SIZE", size, "WIDTHxHEIGHT in pixels to ask a webcam for", default=None
    )
    camera_fps: float | None = setting(
        "CAMERA_FPS",
        number(0.1, 240),
        "frames a second to ask a webcam for; for a looped file, to play it at",
        default=None,
    )
    camera_loop: bool = setting(
        "CAMERA_LOOP", boolean, "1: play a file again and again, as if live", default=False
    )
    camera_end: str = setting(
        "CAMERA_END",
        choice("exit", "idle"),
        "what to do when a file has ended: exit, or stay healthy and idle",
        default="exit",
    )
    camera_timeout: float = setting(
        "CAMERA_TIMEOUT",
        number(1, 300),
        "seconds without a frame after which a camera is opened anew",
        default=10.0,
    )
    rotate: int = setting(
        "ROTATE",
        quarter_turns,
        "degrees to turn each frame clockwise: 0, 90, 180 or 270",
        default=0,
    )
    mask: tuple[Region, ...] = setting(
        "MASK",
        regions,
        "regions never searched or sent, blackened: x,y,w,h;... in fractions of the frame",
        default=(),
    )
    engine: str = setting(
        "ENGINE",
        choice(*ENGINES),
        "what finds faces: haar, OpenCV's cascades; yunet, a small neural network (YUNET_MODEL)",
        default="haar",
    )
    judge: str = setting(
        "JUDGE",
        choice("auto", "cascade"),
        "what tells faces from other things with ENGINE=haar: auto, YuNet if its model is there, "
        "which then looks for faces, too; cascade, the cascades alone",
        default="auto",
    )
    yunet_model: str = setting(
        "YUNET_MODEL",
        file,
        "YuNet's ONNX file; by default the one that the extra `yunet` of the package brings",
        default="",
    )
    cascade: str = setting(
        "CASCADE",
        cascade,
        "Haar cascade: a name of OpenCV's own, or an XML file",
        default=str(CASCADES / "haarcascade_frontalface_alt2.xml"),
    )
    scale_factor: float = setting(
        "SCALE_FACTOR",
        number(1.01, 2),
        "step between the sizes that are searched, in pictures that stand alone",
        default=1.1,
    )
    min_neighbors: int = setting(
        "MIN_NEIGHBORS",
        integer(0, 100),
        "overlapping hits that make a face; more means fewer and surer faces",
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
        "pixels of width to which a wider frame is reduced for the search",
        default=960,
    )
    margin: float = setting(
        "MARGIN",
        number(0, 2),
        "room around a face, as a fraction of its size, each side",
        default=0.2,
    )
    face_max_kb: int = setting(
        "FACE_MAX_KB",
        integer(10, 2000),
        "kilobytes of the largest PNG; a larger face is scaled down",
        default=1000,
    )
    capture: str = setting(
        "CAPTURE",
        choice("interval", "best", "every"),
        "which faces are sent: interval, the best shot of each face each second; best, one per "
        "visit; every, each detection",
        default="interval",
    )
    best_after: float = setting(
        "BEST_AFTER",
        number(0.1, 86400),
        "seconds after which CAPTURE=best sends the best shot of a face that stays",
        default=10.0,
    )
    delivery: str = setting(
        "DELIVERY",
        choice("once", "receipt"),
        "once: publish and forget; receipt: send until the bucket has it",
        default="once",
    )
    outbox_path: str = setting(
        "OUTBOX_PATH",
        text,
        "folder for faces without receipt (DELIVERY=receipt); it must outlive the detector",
        default=os.path.join(
            os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"), "facepipe"
        ),
    )
    outbox_max_mb: int = setting(
        "OUTBOX_MAX_MB",
        integer(1, 1_000_000),
        "megabytes of faces that may wait; the oldest go first (at most 64 with DELIVERY=once)",
        default=1000,
    )
    outbox_max_days: float = setting(
        "OUTBOX_MAX_DAYS", number(0.001, 10_000), "days that a face may wait", default=7.0
    )
    outbox_window: int = setting(
        "OUTBOX_WINDOW", integer(1, 1000), "faces under way without receipt, at most", default=32
    )
    outbox_order: str = setting(
        "OUTBOX_ORDER",
        choice("newest", "oldest"),
        "which of the waiting faces is sent first",
        default="newest",
    )
    preview: bool = setting(
        "PREVIEW", boolean, "1: a page with the live picture on HTTP_PORT", default=False
    )
    preview_password: str = setting(
        "PREVIEW_PASSWORD",
        text,
        "password of that page; needed where HTTP_HOST is not loopback, as in a container",
        default="",
        secret=True,
    )
    metrics_port: int | None = setting(
        "METRICS_PORT",
        integer(0, 65535),
        "port for /healthz and /metrics when HTTP_PORT is to be the preview's alone",
        default=None,
    )
    homeassistant: bool = setting(
        "HOMEASSISTANT", boolean, "1: show this camera to Home Assistant", default=False
    )
    homeassistant_prefix: str = setting(
        "HOMEASSISTANT_PREFIX", topic, "its discovery prefix", default="homeassistant"
    )
    homeassistant_keep: int = setting(
        "HOMEASSISTANT_KEEP_SECONDS", integer(1, 3600), "seconds that it keeps a face", default=300
    )

    @property
    def access(self) -> Access:
        """Who may see the preview."""
        return Access(self.publication, self.preview_password, self.metrics_port is not None)

    @property
    def health_port(self) -> tuple[str, int]:
        if self.metrics_port is None:
            return super().health_port
        return "METRICS_PORT", self.metrics_port

    @property
    def model(self) -> str:
        """YuNet's file: the one named, or the one that a package brings; else nothing."""
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
            live=self.source.live or self.camera_loop,
            alone=self.source.kind == "images",
        )

    @property
    def outbox(self) -> Path:
        """The database of this camera."""
        return Path(self.outbox_path) / f"{self.camera_name}.db"

    @property
    def source(self) -> source.Source:
        return source.parse(self.camera)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        fault = source.problem(self.source)
        if fault is not None:
            yield f"CAMERA {fault}"
        yield from registry.load(self.engine).find_problems(self.engine_options)
        if self.preview:
            yield from self.access.problems()
            if self.metrics_port and self.metrics_port == self.http_port:
                yield "METRICS_PORT must be another port than HTTP_PORT"
        if self.homeassistant and topics_overlap(self.homeassistant_prefix, self.mqtt_topic):
            # What is under MQTT_TOPIC may be relayed to the cloud.
            yield "HOMEASSISTANT_PREFIX and MQTT_TOPIC must not lie within each other"
