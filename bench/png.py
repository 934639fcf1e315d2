"""What PNG settings cost, and what they save: milliseconds and bytes of faces of the bundled clip.

Run: `python -m bench.png`. Each setting encodes the same faces, in turns; OpenCV's own default is
the first, and what the ratios are to. docs/performance.md tells which the detector takes, and why.
"""

from __future__ import annotations

import statistics
import sys
import time

import cv2

from bench.report import Figure, tell
from detector.encoding.crop import add_margin
from testing.clips import clips

ROUNDS = 15
FACE = (262, 73, 80, 80)  # in the frames taken; x, y, w, h
MARGIN = 0.2  # of the face, as the detector has it

LEVEL, STRATEGY = cv2.IMWRITE_PNG_COMPRESSION, cv2.IMWRITE_PNG_STRATEGY
SETTINGS: dict[str, list[int]] = {
    "default (level 1, run lengths)": [],
    "level 0": [LEVEL, 0],
    "level 1": [LEVEL, 1],
    "level 1, run lengths": [LEVEL, 1, STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE],
    "level 1, Huffman only": [LEVEL, 1, STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY],
    "level 1, filtered": [LEVEL, 1, STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FILTERED],
    "level 3": [LEVEL, 3],
    "level 6": [LEVEL, 6],
    "level 9": [LEVEL, 9],
}


def main() -> int:
    x, y, w, h = add_margin(FACE, MARGIN, 640, 360)
    faces = [
        cv2.resize(image[y : y + h, x : x + w], None, fx=scale, fy=scale)
        for scale in (1.0, 3.0)
        for image in clips.faces(10)
    ]
    took: dict[str, list[float]] = {name: [] for name in SETTINGS}
    size: dict[str, int] = {}
    for _ in range(ROUNDS):
        for name, parameters in SETTINGS.items():
            began = time.perf_counter()
            size[name] = sum(len(cv2.imencode(".png", face, parameters)[1]) for face in faces)
            took[name].append(time.perf_counter() - began)
    first = next(iter(SETTINGS))
    base, figures = statistics.median(took[first]), []
    for name in SETTINGS:
        seconds = statistics.median(took[name])
        figures += [
            Figure(f"{name}: time per face", 1000 * seconds / len(faces), "ms"),
            Figure(f"{name}: time, times the default's", seconds / base, "x"),
            Figure(f"{name}: bytes, times the default's", size[name] / size[first], "x"),
        ]
    tell("png", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
