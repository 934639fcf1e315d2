"""Which kind of source CAMERA names, by its text."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import shutil
import urllib.parse
from pathlib import Path

from common.settings import star_url
from detector.capture.producer import PRODUCERS

COMMAND = "exec:"  # before a command whose standard output is the video
IMAGES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@dataclasses.dataclass(frozen=True)
class Source:
    """`kind` is a key of PRODUCERS; `address` is what its frame producer opens."""

    kind: str
    address: str

    @property
    def live(self) -> bool:
        return PRODUCERS[self.kind].live


def parse(camera: str) -> Source:
    """The source that `camera` names; `find_problem` checks that it is there."""
    if re.fullmatch(r"[0-9]{1,3}", camera):
        return Source("device", f"/dev/video{camera}")
    if camera.startswith(COMMAND):
        return Source("command", camera.removeprefix(COMMAND).strip())
    scheme, mark, rest = camera.partition("://")
    for kind, producer in PRODUCERS.items():
        if mark and scheme.lower() in producer.schemes:
            # Schemes have no case (RFC 3986, section 3.1), but FFmpeg takes lower case alone.
            return Source(kind, f"{scheme.lower()}{mark}{rest}")
    if camera.startswith("/dev/"):
        return Source("device", camera)
    folder = Path(camera)
    if folder.is_dir() or folder.suffix.lower() in IMAGES:
        return Source("images", camera)
    return Source("video", camera)


def hide_secrets(camera: str) -> str:
    """CAMERA as logs may show it: without user, password, query, or a path that may hold them."""
    if camera.startswith(COMMAND):
        return hide_logins(camera)
    if "://" not in camera:
        # Not even a mistyped URL may show its password.
        before, at, after = camera.rpartition("@")
        return f"***{at}{after}" if at and ":" in before else camera
    scheme, _, rest = star_url(camera).partition("://")
    host, _, path = rest.partition("/")
    # Some cameras take their login in the path: rtsp://host/user=admin_password=secret_channel=1
    return f"{scheme}://{host}/***" if "=" in path else f"{scheme}://{rest}"


def hide_logins(text: str) -> str:
    """Any text without the logins of the URLs in it."""
    return re.sub(r"://\S*@", "://***@", text)


def add_login(address: str, username: str, password: str) -> str:
    """The URL with user and password, each character as a URL may hold it (RFC 3986, section 2.1).

    They take the place of those in the URL. Files, devices and pipes stay as they are.
    """
    found = re.fullmatch(r"(\w+)://(?:[^/?#]*@)?(.*)", address)
    if found is None or not username:
        return address
    login = f"{urllib.parse.quote(username, safe='')}:{urllib.parse.quote(password, safe='')}"
    return f"{found[1]}://{login}@{found[2]}"


def find_problem(source: Source) -> str | None:
    """Why it cannot be a camera; None if it can, or if it may still appear, as a webcam may."""
    if source.kind == "command":
        return _find_problem_of_command(source.address)
    if PRODUCERS[source.kind].schemes:
        return _find_problem_of_url(source.address)
    if source.live:
        return None
    if "://" in source.address:
        if source.address.lower().startswith("srt:"):
            return (
                "is SRT, which an ffmpeg can read for us: CAMERA=exec:ffmpeg ... (docs/cameras.md)"
            )
        schemes = sorted(scheme for kind in PRODUCERS.values() for scheme in kind.schemes)
        return f"is a URL, but its scheme is not one of {', '.join(schemes)}"
    return _find_problem_of_path(Path(source.address))


def _find_problem_of_command(command: str) -> str | None:
    try:
        words = shlex.split(command)
    except ValueError as error:
        return f"is a command that cannot be split into words: {error}"
    if not words:
        return "names no command after exec:"
    return None if shutil.which(words[0]) else f"names a command that is not installed: {words[0]}"


def _find_problem_of_url(url: str) -> str | None:
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host or (port and url.startswith("udp:")):
        return None
    if "@" in url:
        return (
            "is a URL whose login has a character that URLs do not allow:"
            " set CAMERA_USERNAME and CAMERA_PASSWORD instead"
        )
    return f"is a URL without a valid host: {hide_secrets(url)}"


def _find_problem_of_path(path: Path) -> str | None:
    if not path.exists():
        return f"names a file or folder that does not exist: {hide_secrets(str(path))}"
    if not os.access(path, os.R_OK):
        return f"names a file or folder that cannot be read: {path}"
    if path.is_dir() and not list_images(path):
        return f"names a folder without images ({' '.join(IMAGES)}): {path}"
    if path.is_file() and path.stat().st_size == 0:
        return f"names an empty file: {path}"
    return None


def list_images(path: Path) -> list[Path]:
    """The images of a folder in order of their names; a single image counts as a folder of one."""
    if path.is_file():
        return [path]
    return sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGES and p.is_file())
