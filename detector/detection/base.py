"""What an engine is: it finds faces in a frame, and finds again one that it has found before.

A further engine is one module with a class of this shape and a `create`, and a line in `registry`.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

from detector.detection.boxes import Box, Image


@dataclasses.dataclass(frozen=True)
class Detection:
    """A face in a frame.

    box: bounding box x, y, w, h in pixels of the frame, within it.
    score: the engine's own confidence, in the engine's own unit.
    frontal: how much it looks into the camera, 0 to 1.
    evidence: whether the score says if this is a face; else it is only a place to look at.
    engine: the name of the engine that found it.
    """

    box: Box
    score: float
    frontal: float = 1.0
    evidence: bool = False
    engine: str = ""


class Engine(Protocol):
    """Not thread-safe, as OpenCV's own classes are not: one per thread."""

    name: str
    once: float  # the score by which one sight confirms a face
    often: float  # the mean score by which several do
    pause: float  # seconds between two searches of all that moves, while nobody is in view
    shown: float  # the score without which a sight of a face is not sent

    def search(
        self, image: Image, min_side: float, most: float = 1.0, *, deep: bool = True
    ) -> list[Detection]:
        """Candidates of `min_side` pixels or more in a picture (height x width x 3, BGR).

        most: the scale to which the picture is to be reduced, or further.
        deep: in all ways that the engine has, not only in the quick ones.
        """

    def near(self, image: Image, box: Box) -> list[Detection]:
        """Candidates around `box`, of about its size, where a face was a moment ago: quick."""

    def judged(self, image: Image, box: Box) -> Detection:
        """What a candidate is worth: slower, and as sure as the engine can be."""

    def thorough(self, image: Image, min_side: float, most: float = 1.0) -> list[Detection]:
        """Faces in a picture that stands alone, whatever time that takes."""
