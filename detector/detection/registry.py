"""The engines by name. An engine's module is imported only when the engine is used.

To add one: its module with `create` and `find_problems`, and a line here.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:  # the settings need the names alone, and no numpy
    from detector.detection.base import Engine

ENGINES = {
    "haar": "detector.detection.judged_cascade",
    "yunet": "detector.detection.yunet",
}


@dataclasses.dataclass(frozen=True)
class EngineOptions:
    """The options of all engines; each engine uses those that concern it.

    cascade: path of the Haar cascade; scale_factor, min_neighbors: as in OpenCV.
    model: path of YuNet's ONNX file, empty if there is none.
    judge: `auto` lets YuNet verify what the cascade finds, if its model is there; `cascade` does
        not.
    """

    cascade: str
    scale_factor: float
    min_neighbors: int
    model: str
    judge: str


class EngineModule(Protocol):
    """The module of an engine."""

    def create(self, options: EngineOptions) -> Engine:
        """The engine with these options."""

    def find_problems(self, options: EngineOptions) -> Iterator[str]:
        """Sentences on what keeps the engine from being created, each naming its setting."""


def load(name: str) -> EngineModule:
    """The module of an engine. Raises KeyError for a name that is not in ENGINES."""
    return cast(EngineModule, importlib.import_module(ENGINES[name]))


def create(name: str, options: EngineOptions) -> Engine:
    """The engine that ENGINE names. Raises KeyError for a name that is not in ENGINES."""
    return load(name).create(options)
