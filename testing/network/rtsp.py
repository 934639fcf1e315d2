"""A network camera: a real RTSP server (GStreamer's, of Debian) on loopback."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

SERVER = Path(__file__).with_name("rtsp_server.py")
PYTHON = "/usr/bin/python3"  # Debian's, which sees Debian's GStreamer

H264 = "x264enc key-int-max={gop} tune=zerolatency speed-preset=ultrafast ! rtph264pay"
H265 = (
    "video/x-raw,format=I420 ! x265enc key-int-max={gop} tune=zerolatency speed-preset=ultrafast"
    " ! rtph265pay"
)
MJPEG = "video/x-raw,format=I420 ! jpegenc ! rtpjpegpay"


def clip(
    path: Path, codec: str = H264, fps: str = "15/1", gop: int = 15, size: str = "640,height=360"
) -> str:
    """A pipeline that plays an AVI of JPEGs, from its start for the first viewer."""
    return (
        f"filesrc location={path} ! avidemux ! jpegdec ! videoconvert ! videoscale ! videorate"
        f" ! video/x-raw,width={size},framerate={fps} ! videoconvert"
        f" ! {codec.format(gop=gop)} name=pay0"
    )


class Rtsp:
    """Plays the pipeline `launch` at `url`. For the options see rtsp_server.py."""

    def __init__(self, launch: str, **options: Any) -> None:
        self._wanted = {"launch": launch, **options}
        self._start()

    def _start(self) -> None:
        command = [PYTHON, str(SERVER), json.dumps(self._wanted)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/cam"

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """It neither sends nor answers meanwhile."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def restart(self, launch: str) -> None:
        """Kill it; then it is there again at the same port, and plays another pipeline."""
        self.kill()
        self._wanted |= {"launch": launch, "port": self.port}
        self._start()

    def __enter__(self) -> Rtsp:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.kill()
