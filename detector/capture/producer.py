"""The kinds of cameras, and the frame producer for each. A new kind takes one line here.

A frame producer is a module with `create(address, options)`. It runs in the capture process, so it
may block, and it may even crash.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

if TYPE_CHECKING:
    from detector.planes import Planes

USUAL_FPS = 25.0  # for a file that does not state its frame rate, or states nonsense


@dataclasses.dataclass(frozen=True)
class ProducerOptions:
    """Options of a frame producer, which ignores those that do not apply to it.

    size: width and height in pixels to request from a webcam.
    fps: frames a second to request from a webcam, or to play a file or folder at.
    timeout: seconds without a frame after which a stream should give up.
    username, password: the login of a stream, as it is typed; "" for none.
    on_unreadable: called with the path of an image that cannot be read.
    """

    size: tuple[int, int] | None = None
    fps: float | None = None
    timeout: float = 10.0
    username: str = ""
    password: str = ""
    on_unreadable: Callable[[str], None] = lambda _: None


class SourceError(Exception):
    """The source cannot be opened, or gives no more frames. `reason` is a fixed word."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class FrameProducer(Protocol):
    """An open source of frames.

    As with OpenCV's VideoCapture, each frame is first grabbed and then retrieved. Every frame of
    a live source is grabbed, but only those that are needed are converted.
    """

    fps: float  # frames a second
    frames: int  # number of frames, an estimate; 0 if unknown
    time: float  # of the grabbed frame, in seconds from the source's start; never goes back

    def grab(self) -> int | None:
        """Advance to the next frame; returns its number, from 0, or None after the last one."""

    def retrieve(self) -> Planes | None:
        """The grabbed frame, valid until the next `grab`; None if it cannot be converted."""

    def describe(self) -> dict[str, str]:
        """What a person may want to know of it: names and values, once a frame was grabbed."""

    def close(self) -> None:
        """Release the source."""


class ProducerModule(Protocol):
    """The module of a frame producer."""

    def create(self, address: str, options: ProducerOptions) -> FrameProducer:
        """Open the source at `address`; may block.

        Raises:
            SourceError: it cannot be opened.
        """


class ProducerKind(NamedTuple):
    """A kind of camera. `schemes` are those of the URLs that CAMERA may have for it."""

    module: str
    live: bool  # frames come at their own pace, and late readers miss some
    schemes: tuple[str, ...] = ()


STREAMS = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "tcp", "udp")
PRODUCERS = {
    "device": ProducerKind("detector.capture.opencv", live=True),
    "stream": ProducerKind("detector.capture.pyav", True, STREAMS),
    "command": ProducerKind("detector.capture.command", live=True),
    "video": ProducerKind("detector.capture.pyav", live=False),
    "images": ProducerKind("detector.capture.image_folder", live=False),
}


def load(module: str) -> ProducerModule:
    """The module of a frame producer, imported when it is needed."""
    return cast(ProducerModule, importlib.import_module(module))
