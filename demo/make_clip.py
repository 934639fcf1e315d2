"""Make `clip.mp4`, the bundled stand-in for a camera: `python -m demo.make_clip`.

It needs scikit-image (any recent version), which is no part of the locked requirements: its data
holds NASA's portrait of Eileen Collins, in the public domain. See clip.md.

In 16 s the portrait comes in from the left, walks up, leaves to the right, comes back nearer and
smaller, before a background that changes, with the noise of a camera.
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 20, 16
NOISE = 1.5  # standard deviation, of 255
CLIP = Path(__file__).with_name("clip.mp4")

# Seconds, centre x and y and height of the portrait, as fractions of the frame; between these it
# moves evenly. Beyond 0 and 1 it is out of sight.
PATH = (
    (0.0, -0.10, 0.62, 0.80),
    (2.0, 0.30, 0.58, 0.90),
    (5.0, 0.55, 0.66, 1.30),
    (7.5, 1.45, 0.60, 1.00),
    (8.5, 1.45, 0.60, 1.00),
    (10.5, 0.70, 0.64, 0.75),
    (14.0, 0.40, 0.70, 1.35),
    (15.5, -0.45, 0.66, 1.10),
    (16.0, -0.45, 0.66, 1.10),
)


def place(seconds: float) -> tuple[float, float, float]:
    """Centre and height of the portrait at a moment."""
    times = [step[0] for step in PATH]
    x, y, h = (float(np.interp(seconds, times, [step[i] for step in PATH])) for i in (1, 2, 3))
    return x + 0.006 * math.sin(5 * seconds), y + 0.01 * math.sin(7 * seconds), h


def background(seconds: float) -> Floats:
    """Soft shapes that drift and change their colour; nothing in them looks like a face."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32) / HEIGHT
    waves = [np.sin(2.2 * x + 1.3 * y + 0.5 * seconds + phase) for phase in (0.0, 2.0, 4.0)]
    return np.stack([115 + 35 * wave for wave in waves], axis=2).astype(np.float32)


def cut_out(portrait: Image) -> tuple[Floats, Floats]:
    """The person of the portrait, and how much of each pixel is the person's (0 to 1)."""
    labels = np.full(portrait.shape[:2], cv2.GC_PR_BGD, np.uint8)
    cv2.ellipse(labels, (222, 130), (95, 130), 0, 0, 360, cv2.GC_PR_FGD, -1)
    cv2.ellipse(labels, (225, 420), (215, 250), 0, 0, 360, cv2.GC_PR_FGD, -1)
    cv2.ellipse(labels, (222, 135), (55, 85), 0, 0, 360, cv2.GC_FGD, -1)
    cv2.ellipse(labels, (225, 420), (110, 180), 0, 0, 360, cv2.GC_FGD, -1)
    labels[:, 440:] = cv2.GC_BGD
    labels[:150, 350:] = cv2.GC_BGD
    back, fore = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(1)
    cv2.grabCut(portrait, labels, (0, 0, 1, 1), back, fore, 6, cv2.GC_INIT_WITH_MASK)
    person = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    alpha = cv2.GaussianBlur(person, (0, 0), 1.5)[:, :, None]
    return portrait.astype(np.float32), alpha.astype(np.float32)


def frame(person: Floats, alpha: Floats, seconds: float, noise: np.random.Generator) -> Image:
    """One frame, height x width x 3, BGR."""
    x, y, height = place(seconds)
    scale = height * HEIGHT / person.shape[0]
    shift = x * WIDTH - scale * 225, y * HEIGHT - scale * 256
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
    size = (WIDTH, HEIGHT)
    picture = cv2.warpAffine(person, matrix, size, flags=cv2.INTER_AREA)
    share = cv2.warpAffine(alpha, matrix, size, flags=cv2.INTER_AREA)[:, :, None]
    mixed = picture * share + background(seconds) * (1 - share)
    mixed = mixed + noise.normal(0.0, NOISE, mixed.shape)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def main() -> None:
    from skimage import data

    portrait = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR).astype(np.uint8)
    person, alpha = cut_out(portrait)
    noise = np.random.default_rng(1)
    codec = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(CLIP), codec, FPS, (WIDTH, HEIGHT))
    for index in range(SECONDS * FPS):
        writer.write(frame(person, alpha, index / FPS, noise))
    writer.release()
    print(f"{CLIP}: {SECONDS * FPS} frames, {CLIP.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
