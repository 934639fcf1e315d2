"""What CAMERA can be, told from its text alone."""

from __future__ import annotations

import dataclasses
import os
import re
import urllib.parse
from pathlib import Path

from common.settings import star_url

STREAMS = ("rtsp", "rtsps", "http", "https")
IMAGES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@dataclasses.dataclass(frozen=True)
class Source:
    """kind: device (a webcam), stream (a URL), video (a file), images (a folder of stills)."""

    kind: str
    address: str

    @property
    def live(self) -> bool:
        return self.kind in ("device", "stream")


def parse(camera: str) -> Source:
    """Tell what `camera` names; whether it is there, `problem` tells."""
    if re.fullmatch(r"[0-9]{1,3}", camera):
        return Source("device", f"/dev/video{camera}")
    scheme, mark, rest = camera.partition("://")
    if scheme.lower() in STREAMS:  # RFC 3986, 3.1: in either case; FFmpeg knows the lower one
        return Source("stream", f"{scheme.lower()}{mark}{rest}")
    if camera.startswith("/dev/"):
        return Source("device", camera)
    folder = Path(camera)
    if folder.is_dir() or folder.suffix.lower() in IMAGES:
        return Source("images", camera)
    return Source("video", camera)


def shown(camera: str) -> str:
    """What may be seen of CAMERA: no user, password or query, nor a path that may hold them."""
    if "://" not in camera:
        # A mistyped URL must not give away its password either.
        before, at, after = camera.rpartition("@")
        return f"***{at}{after}" if at and ":" in before else camera
    scheme, _, rest = star_url(camera).partition("://")
    host, _, path = rest.partition("/")
    # Some cameras take their login in the path: rtsp://host/user=admin_password=secret_channel=1
    return f"{scheme}://{host}/***" if "=" in path else f"{scheme}://{rest}"


def _host(url: str) -> str | None:
    try:
        return urllib.parse.urlsplit(url).hostname
    except ValueError:
        return None


def problem(source: Source) -> str | None:
    """Why a file or folder cannot be a camera; None for what may still come, such as a webcam."""
    if source.kind == "stream" and not _host(source.address):
        return f"is a URL without a host that can be read: {shown(source.address)}"
    if source.live:
        return None
    path = Path(source.address)
    if "://" in source.address:
        return f"is a URL, and none of {', '.join(STREAMS)}"
    if not path.exists():
        return f"names a file or folder that is not there: {shown(source.address)}"
    if not os.access(path, os.R_OK):
        return f"names a file or folder that may not be read: {path}"
    if path.is_dir() and not images(path):
        return f"names a folder without images ({' '.join(IMAGES)}): {path}"
    if path.is_file() and path.stat().st_size == 0:
        return f"names an empty file: {path}"
    return None


def images(path: Path) -> list[Path]:
    """The images of a folder in order of their names; a single image is a folder of one."""
    if path.is_file():
        return [path]
    return sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGES and p.is_file())
