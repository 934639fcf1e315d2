"""A store with many faces in it, written as nanio itself writes them: 5,000 in a second or two."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import random
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from common.protocol import keys
from detector.detection.model_files import CASCADES
from testing.clips.clips import Image, frames
from testing.store import bucketful
from testing.store.nanio import Store

DAY = 86_400_000  # milliseconds


@dataclasses.dataclass(frozen=True)
class Put:
    """An object to be: `key`, bytes, metadata, and when it was stored (unix ms)."""

    key: str
    body: bytes
    facts: dict[str, str]
    stored: int
    content_type: str = "image/png"


def face(device: str, camera: str, captured: int, body: bytes, id: str, **facts: str) -> Put:
    """A face as the processor stores it; `captured`: unix ms."""
    moment = datetime.datetime.fromtimestamp(captured / 1000, datetime.UTC)
    own = {"id": id, "device": device, "camera": camera}
    key = keys.format_key(keys.DEFAULT_TEMPLATE, own, captured / 1000)
    own["captured"] = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return Put(key, body, own | {"engine": "haar"} | facts, captured + 400)


def crops(count: int = 36) -> list[bytes]:
    """Faces of the bundled clip, as PNG, in many lights and sizes."""
    found = list(_cut(count))
    light = random.Random(7)
    return [_png(_lit(image, light)) for image in found]


def _cut(count: int) -> Iterator[Image]:
    cascade = cv2.CascadeClassifier(str(CASCADES / "haarcascade_frontalface_default.xml"))
    images = [image for index, image in enumerate(frames()) if index >= 60 and index % 2 == 0]
    boxes: list[Image] = []
    for image in images:
        for x, y, w, h in cascade.detectMultiScale(image, 1.2, 6, minSize=(70, 70)):
            margin = int(w * (0.1 + 0.05 * (len(boxes) % 5)))
            top, left = max(0, y - margin), max(0, x - margin)
            boxes.append(image[top : y + h + margin, left : x + w + margin].astype(np.uint8))
        if len(boxes) >= count:
            break
    return iter(boxes[:count])


def _lit(image: Image, light: random.Random) -> Image:
    if light.random() < 0.5:
        image = image[:, ::-1]
    bright = light.uniform(0.6, 1.25)
    tinted = image.astype(np.float32) * [bright * light.uniform(0.9, 1.1) for _ in range(3)]
    side = light.choice((96, 128, 160))
    scaled = cv2.resize(
        np.clip(tinted, 0, 255), (side, round(side * image.shape[0] / image.shape[1]))
    )
    return scaled.astype(np.uint8)


def _png(image: Image) -> bytes:
    ok, encoded = cv2.imencode(".png", image)
    assert ok
    return encoded.tobytes()


def many(count: int, until: int, devices: dict[str, list[str]], days: int) -> list[Put]:
    """`count` faces of some devices and cameras in the `days` before a time (unix ms), busiest at
    noon, fewer at weekends; the same ones each time."""
    chance = random.Random(11)
    bodies = crops()
    pairs = [(device, camera) for device, cameras in devices.items() for camera in cameras]
    found = []
    for number in range(count):
        ago = int(days * chance.random() ** 1.4)
        hour = min(23.9, max(0.0, chance.gauss(13, 3.5)))
        day = until - ago * DAY
        captured = day - day % DAY + int(hour * 3_600_000)
        if captured > until:
            captured -= DAY
        device, camera = pairs[int(len(pairs) * chance.random() ** 1.5)]
        body = bodies[chance.randrange(len(bodies))]
        id = f"{captured:012x}7{number:03x}8{chance.getrandbits(60):015x}"
        facts = {
            "sharpness": f"{chance.lognormvariate(5, 0.6):.1f}",
            "score": str(chance.randrange(4, 40)),
            "quality": f"{chance.random():.3f}",
            "face": "412,200,120,120",
            "box": "394,176,156,168",
            "frame": "1280x720",
            "track": f"a-{number}",
        }
        found.append(face(device, camera, captured, body, id, **facts))
    return found


def visits(camera: str, track: str, count: int, shots: int, since: int, every: int) -> list[Put]:
    """Visits of some shots each at a camera of `entrance`, a second between two shots, with their
    tracks `track`-0 and so on; `since`, `every`: milliseconds. The middle shot is the best one."""
    bodies = crops(12)
    found = []
    for visit in range(count):
        for shot in range(shots):
            captured = since + visit * every + shot * 1000
            quality = 0.9 - 0.05 * abs(shot - shots // 2)
            facts = {
                "sharpness": f"{100 * quality:.1f}",
                "quality": f"{quality:.3f}",
                "score": "0.9",
                "frame": "1280x720",
                "track": f"{track}-{visit}",
            }
            id = f"{captured:012x}7{visit:03x}8{shot:015x}"
            body = bodies[(visit + shot // 4) % len(bodies)]
            found.append(face("entrance", camera, captured, body, id, **facts))
    return found


def fill(store: Store, objects: Iterable[Put]) -> None:
    """Write objects into nanio's folder; equal bodies are one file with many names."""
    pool = store.bucket.parent.parent / "pool"
    pool.mkdir(exist_ok=True)
    for put in objects:
        digest = hashlib.md5(put.body).hexdigest()
        original = pool / digest
        if not original.exists():
            original.write_bytes(put.body)
        bucketful.put(store, put.key, original, put.facts, put.stored / 1000, put.content_type)
