"""What the settings say to the analyzer of frames."""

from __future__ import annotations

import dataclasses

from detector.detection.registry import EngineOptions
from detector.parsers import Region


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnalyzerOptions:
    """engine: its name, and what is said to it; the others are the settings of their names.

    live: frames do not wait, so that a slow machine must search less often.
    alone: each picture stands alone, and all of its faces are sent.
    """

    engine: str
    engine_options: EngineOptions
    rotate: int  # degrees clockwise
    mask: tuple[Region, ...]
    min_face: float  # fraction of the frame's height
    detect_width: int  # pixels
    margin: float  # fraction of the face's size
    capture: str
    best_after: float  # seconds
    live: bool
    alone: bool
