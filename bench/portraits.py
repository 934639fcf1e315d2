"""Real faces as a detector sends them: cut out of clips and encoded by the detector's own code."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench.faces import data
from common.protocol.face import Face
from common.settings import read
from demo.__main__ import CLIP
from detector.capture.frame import Frame
from detector.encoding.encoder import FaceEncoder
from detector.settings import DetectorSettings
from detector.tracking.analyzer import FrameAnalyzer

EVERY = 4  # frames: two that follow each other show the same


def portraits(folder: Path, count: int) -> list[Face]:
    """`count` faces, or as many as are found, from all clips of `folder` alike.

    The folder is one of bench/faces/data.py; without clips in it, the demo's clip has a face, too.
    """
    clips = [clip.path for clip in data.clips(folder)] or [CLIP]
    each = -(-count // len(clips))
    found: list[Face] = []
    spare: list[Face] = []  # of clips that show more, for those that show none
    for clip in clips:
        faces = list(_of(clip, count))
        found += faces[:each]
        spare += faces[each:]
    return (found + spare)[:count]


def close_ups(folder: Path, count: int) -> list[Face]:
    """The same of pictures, where faces are larger: the first face of each, spread over all.

    Raises:
        ValueError: the folder has no pictures with faces.
    """
    pictures = [still.path for still in data.stills(folder)]
    if not pictures:
        raise ValueError(f"there are no stills with labels in {folder}")
    # Any folder of pictures tells the detector that each of them stands alone.
    settings = read(DetectorSettings, {"CAMERA": str(pictures[0].parent)})
    look, encode = (
        FrameAnalyzer(settings.analyzer_options),
        FaceEncoder(settings.device, settings.camera_name, settings.face_max_kb * 1000),
    )
    faces: list[Face] = []
    for index, path in enumerate(pictures[:: max(1, len(pictures) // (2 * count))]):
        image = data.picture(path)
        shots = [] if image is None else look(Frame(image, index, time.time(), float(index))).shots
        faces += [face for shot in shots[:1] if (face := encode(shot)) is not None]
    return faces[:count]


def _of(clip: Path, most: int) -> Iterator[Face]:
    settings = read(DetectorSettings, {"CAMERA": str(clip), "CAPTURE": "every"})
    look, encode = (
        FrameAnalyzer(settings.analyzer_options),
        FaceEncoder(settings.device, settings.camera_name, settings.face_max_kb * 1000),
    )
    frames = 2 * EVERY * most if clip == CLIP else 5 * EVERY
    for index, image in enumerate(data.frames(clip, frames)):
        if index % EVERY:
            continue
        for shot in look(Frame(image, index, time.time(), index / 25)).shots:
            face = encode(shot)
            if face is not None:
                yield face
