"""The options of the frame analyzer."""

from __future__ import annotations

import dataclasses

from detector.detection.registry import EngineOptions
from detector.parsers import Region


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnalyzerOptions:
    """How frames are analyzed; most fields are the settings of the same name.

    engine, engine_options: the name of the engine, and its options.
    live: frames do not wait, so a slow machine must search less often.
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
