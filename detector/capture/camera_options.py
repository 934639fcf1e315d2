"""The settings that a camera needs."""

from __future__ import annotations

import dataclasses

from detector.capture.source import Source


@dataclasses.dataclass(frozen=True)
class CameraOptions:
    """How to read a camera.

    name: the camera's name, as metrics have it.
    setting: where the source was set, for a sentence that says what is wrong with it.
    shown: the source as logs may show it, without passwords.
    size, fps: width and height in pixels, and frames a second, to ask a webcam for.
    username, password: the login of a stream, as it is typed; "" for none.
    loop: play a file again and again, as if it were live.
    timeout: seconds without a frame after which the camera is opened again.
    """

    source: Source
    shown: str
    name: str = "camera-0"
    setting: str = "CAMERA"
    size: tuple[int, int] | None = None
    fps: float | None = None
    username: str = ""
    password: str = dataclasses.field(default="", repr=False)
    loop: bool = False
    timeout: float = 10.0

    @property
    def live(self) -> bool:
        """Whether frames come at their own pace, so that a late reader misses some."""
        return self.source.live or self.loop
