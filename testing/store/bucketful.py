"""A bucket with many faces in it, written straight into the folder that nanio serves.

Each has the metadata that nanio keeps beside an object. The pictures are cut from the bundled clip;
objects share their bytes on disk by hard links, which a deletion ends one by one.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from common.protocol.clock import to_rfc3339
from common.protocol.keys import DEFAULT_TEMPLATE, format_key
from testing.services.process import ROOT
from testing.store.nanio import Store

PICTURES = 64
CLIP = ROOT / "demo" / "clip.mp4"
LAST = datetime.datetime(2026, 3, 31, 20, 0, tzinfo=datetime.UTC).timestamp()


def pictures(folder: Path, side: int = 120, count: int = PICTURES) -> list[Path]:
    """PNG files, each another cut of the clip."""
    folder.mkdir(parents=True, exist_ok=True)
    clip = cv2.VideoCapture(str(CLIP))
    made: list[Path] = []
    while len(made) < count:
        ok, frame = clip.read()
        if not ok:
            clip.set(cv2.CAP_PROP_POS_FRAMES, 0)
            continue
        number = len(made)
        height, width = frame.shape[:2]
        x, y = (width - side) * (number % 8) // 8, (height - side) * (number // 8 % 8) // 8
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), np.ascontiguousarray(frame[y : y + side, x : x + side]))
        made.append(path)
    return made


def put(
    store: Store,
    key: str,
    content: bytes | Path,
    metadata: Mapping[str, str] | None = None,
    stored: float = LAST,
    content_type: str = "image/png",
) -> None:
    """One object as a PUT leaves it; a file's content is linked, not copied."""
    path = store.bucket / key
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Path):
        os.link(content, path)
    else:
        path.write_bytes(content)
    size = path.stat().st_size
    about = {
        "etag": f'"{hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()}"',
        "size": size,
        "last_modified": datetime.datetime.fromtimestamp(stored, datetime.UTC).isoformat(),
        "content_type": content_type,
        "user_metadata": {f"x-amz-meta-{name}": value for name, value in (metadata or {}).items()},
        "storage_class": "STANDARD",
        "content_encoding": None,
        "content_disposition": None,
        "cache_control": None,
    }
    beside = store.bucket / ".nanio-meta" / f"{key}.json"
    beside.parent.mkdir(parents=True, exist_ok=True)
    beside.write_text(json.dumps(about))


def fill(
    store: Store,
    count: int,
    devices: int = 10,
    days: int = 30,
    side: int = 120,
    last: float = LAST,
) -> list[str]:
    """`count` faces of so many devices, evenly over so many days up to `last`; keys, oldest first.

    Devices are named so that nanio, which lists folder by folder, and S3 agree on their order.
    """
    cuts = pictures(store.bucket.parent.parent / "pictures", side)
    keys, step = [], days * 86_400 / count
    for number in range(count):
        at = round(last - (count - 1 - number) * step, 3)
        facts = {
            "id": f"{round(at * 1000):012x}7{number:03x}"[:16].ljust(16, "0") + f"8{number:015x}",
            "device": f"box{number % devices:04d}",
            "camera": f"cam{number // devices % 2}",
            "captured": to_rfc3339(at),
            "score": f"{20 + number % 40}",
            "sharpness": f"{number * 7919 % 1000 + 0.5}",
            "quality": f"0.{number % 90 + 10}",
            "engine": "haar",
        }
        name = format_key(DEFAULT_TEMPLATE, facts, at)
        put(store, name, cuts[number % len(cuts)], facts, at + 0.05)
        keys.append(name)
    return keys
