"""A thousand damaged streams: one process reads them all, and neither fails nor grows.

`python -m tests.integration.detector.capture.test_damaged FILE...` is that process.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from statistics import mean

import pytest

from detector.capture import pyav
from detector.capture.producer import ProducerOptions, SourceError
from testing.clips import clips
from testing.services.process import ROOT

VARIANTS = 1000
REASONS = {"not_open", "not_video", "no_video", "unsupported"}
FORMS = {
    "h264.ts": ("-c:v", "libx264", "-g", "10"),
    "mjpeg.avi": ("-c:v", "mjpeg"),
    "h264.mp4": ("-c:v", "libx264", "-g", "10"),
    "field.ts": ("-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-g", "10"),
}


def encode(path: Path, *options: str) -> Path:
    """Forty frames of the bundled clip, small."""
    shape = ("-vf", "scale=320:180", "-frames:v", "40")
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", str(clips.CLIP), *shape, *options]
    subprocess.run([*command, str(path)], check=True)
    return path


def damage(data: bytes, chance: random.Random) -> bytes:
    """Some bits flipped, all over or near the ends where the headers are; perhaps cut, too."""
    damaged = bytearray(data)
    reach = chance.choice((len(data), len(data), 2000))
    for _ in range(chance.choice((1, 4, 16, 64, 256))):
        at = chance.randrange(reach)
        damaged[at if chance.random() < 0.5 else -1 - at] ^= 1 << chance.randrange(8)
    if chance.random() < 0.3:  # a piece is missing
        at = chance.randrange(len(damaged))
        del damaged[at : at + chance.choice((1, 188, 5000))]
    if chance.random() < 0.3:
        del damaged[chance.randrange(len(damaged)) :]
    return bytes(damaged)


def read(path: Path) -> str:
    """Read a file to its end; returns `frames`, `empty`, or the reason why it does not open."""
    try:
        producer = pyav.create(str(path), ProducerOptions())
    except SourceError as error:
        return error.reason
    frames = 0
    while producer.grab() is not None:
        picture = producer.retrieve()
        assert picture is not None
        assert min(picture.shape) > 0
        frames += 1
    producer.close()
    return "frames" if frames else "empty"


def resident() -> int:
    """The memory of this process, in pages."""
    return int(Path("/proc/self/statm").read_text().split()[1])


def main(names: list[str]) -> None:
    """Read the variants one after another, each in a file of the same name."""
    originals = [Path(name).read_bytes() for name in names]
    path = Path(names[0]).with_name("damaged")
    outcomes, memory = Counter[str](), []
    for seed in range(VARIANTS):
        path.write_bytes(damage(originals[seed % len(originals)], random.Random(seed)))
        print(f"variant {seed}", file=sys.stderr, flush=True)  # if it crashes, this was the one
        outcomes[read(path)] += 1
        memory.append(resident())
    print(json.dumps({"outcomes": outcomes, "memory": memory}))


@pytest.mark.timeout(300)
def test_a_thousand_damaged_streams_are_read_in_memory_that_stays_flat(tmp_path: Path) -> None:
    paths = [encode(tmp_path / name, *options) for name, options in FORMS.items()]
    command = [sys.executable, "-m", __name__, *map(str, paths)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert set(result["outcomes"]) <= REASONS | {"frames", "empty"}
    # Most of them show something, or else this would say little about the decoders.
    assert result["outcomes"]["frames"] > VARIANTS / 2
    assert mean(result["memory"][-100:]) < 1.2 * mean(result["memory"][:100])


def test_a_title_in_any_encoding_does_not_keep_a_file_from_opening(tmp_path: Path) -> None:
    path = encode(tmp_path / "titled.avi", "-c:v", "mjpeg", "-metadata", "title=Garten@")
    data = path.read_bytes()
    assert data.count(b"Garten@") == 1
    path.write_bytes(data.replace(b"Garten@", b"G\xe4rten@"))  # Latin-1
    assert read(path) == "frames"


if __name__ == "__main__":
    main(sys.argv[1:])
