"""Streams, video files and pipes, read by PyAV (FFmpeg's libraries)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import av
import av.error
import av.logging
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.stream import VideoStream

from detector.capture.deinterlacer import Deinterlacer
from detector.capture.open_errors import to_source_error
from detector.capture.producer import USUAL_FPS, ProducerOptions, SourceError
from detector.capture.source import add_login
from detector.planes import Image, Planes, YuvForm

OPEN_TIMEOUT = 30.0  # seconds; some cameras answer DESCRIBE after 20
SNAPSHOT_FPS = 2.0  # of an address that answers with one picture
# FFmpeg takes one thread per core, and each holds frames: 16 threads take 92 MB more than 2 at
# 1080p, and delay a live picture by 15 frames.
DECODE_THREADS = 2

# What FFmpeg reads before the first frame, to learn of the streams: by default up to 5 MB and 5 s,
# too long for a person who waits for a slow camera.
_PROBE = {"probesize": "1000000", "analyzeduration": "1500000", "fpsprobesize": "0"}
# Of JPEGs one after another, FFmpeg would read just as much, though the first tells all.
_PROBE_HTTP = _PROBE | {"probesize": "50000"}
_SCHEMES = {
    "rtsp": _PROBE | {"rtsp_flags": "prefer_tcp"},
    "rtsps": _PROBE | {"rtsp_transport": "tcp"},
    "http": _PROBE_HTTP,
    "https": _PROBE_HTTP,
}
# Formats that are taken as they are decoded: the pixels that share a colour, across and down.
_CELLS = {
    **dict.fromkeys(("yuv420p", "yuvj420p", "nv12"), (2, 2)),
    **dict.fromkeys(("yuv422p", "yuvj422p"), (2, 1)),
    **dict.fromkeys(("yuv444p", "yuvj444p"), (1, 1)),
}
# By FFmpeg's numbers (ITU-T H.273, table 4). FFmpeg, too, takes bt601 where none is stated.
_MATRICES = {1: "bt709", 2: "bt601", 5: "bt601", 6: "bt601", 9: "bt2020"}
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG

av.logging.set_level(None)  # our own lines report failures, once and without passwords


class PyAvProducer:
    """A `FrameProducer` over a container that PyAV has opened.

    Interlaced frames are deinterlaced. Size and pixel format may change from frame to frame. An
    address that answers with a single picture (a snapshot) is requested again and again.
    """

    def __init__(self, address: str, options: ProducerOptions) -> None:
        self._address = address
        self._options = options
        self._container, self._stream = open_container(address, options)
        own = _state_rate(self._stream)
        self.fps = options.fps or (own if 0.1 <= own <= 240 else USUAL_FPS)
        seconds = (self._container.duration or 0) / av.time_base
        self.frames = self._stream.frames or round(seconds * own)
        self.time = 0.0
        self._index = -1
        self._deinterlacer = Deinterlacer()
        self._frame: VideoFrame | None = None
        self._frames = self._read()

    def grab(self) -> int | None:
        """Advance to the next frame that can be decoded. Raises SourceError, `stalled`."""
        self._frame = next(self._frames, None)
        if self._frame is None:
            return None
        self._index += 1
        self.time = self._position(self._frame)
        return self._index

    def retrieve(self) -> Planes | None:
        """The grabbed frame, upright; most formats as they are decoded."""
        assert self._frame is not None  # noqa: S101 - it was grabbed
        return to_planes(self._frame).rotate(90 * round(-self._frame.rotation / 90))

    def describe(self) -> dict[str, str]:
        assert self._frame is not None  # noqa: S101 - it was grabbed
        codec, rate = self._stream.codec_context, _state_rate(self._stream)
        return {
            "container": self._container.format.name,
            "codec": f"{codec.name} ({codec.profile})" if codec.profile else codec.name,
            "rate stated": f"{rate:.4g} a second" if rate else "-",
            "pixel format": self._frame.format.name,
            "interlaced": "yes" if self._deinterlacer.used else "no",
            "rotation": f"{-self._frame.rotation % 360} degrees clockwise",
        }

    def close(self) -> None:
        self._container.close()

    def _read(self) -> Iterator[VideoFrame]:
        started = time.monotonic()
        count = 0
        for frame in self._decode():
            if self._plays_at_own_rate:
                time.sleep(max(0.0, started + self._position(frame) - time.monotonic()))
            count += 1
            yield frame
        while count == 1 and self._is_snapshot:
            rate = self._options.fps or SNAPSHOT_FPS
            now = time.monotonic()
            started = max(started + 1 / rate, now)
            time.sleep(started - now)
            self._container.close()
            self._container, self._stream = open_container(self._address, self._options)
            yield from self._decode()

    def _decode(self) -> Iterator[VideoFrame]:
        """The sound frames of the container, to its end or to where it breaks off."""
        for frame in self._decode_packets():
            if not frame.is_corrupt:
                yield from self._deinterlacer.process(frame)
        yield from self._deinterlacer.flush()

    def _decode_packets(self) -> Iterator[VideoFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.EOFError):
                return
            except IndexError:
                return  # PyAV's way to end if streams have appeared that were not there at first
            except av.error.ExitError:
                text = f"no frame for {self._options.timeout:.0f} s"
                raise SourceError("stalled", text) from None
            except av.error.FFmpegError:
                return  # the caller tells a file that ends early from a stream that is lost
            if packet.is_corrupt:
                continue  # FFmpeg would decode a picture that breaks off
            with contextlib.suppress(av.error.FFmpegError):  # the next one may be sound
                yield from packet.decode()

    def _position(self, frame: VideoFrame) -> float:
        """Seconds from the start: by the time stamps, if they are there and go forward."""
        if self._options.fps or frame.pts is None or frame.time_base is None:
            return max(self.time, (self._index + 1) / self.fps)
        start = self._stream.start_time or 0
        base = self._stream.time_base or frame.time_base
        return max(self.time, float(frame.pts * frame.time_base - start * base))

    @property
    def _is_http(self) -> bool:
        return self._address.startswith(("http://", "https://"))

    @property
    def _is_snapshot(self) -> bool:
        return self._is_http and self._container.format.name.endswith("_pipe")

    @property
    def _plays_at_own_rate(self) -> bool:
        """Whether it is a recording behind a URL: read at once, it would be over in seconds."""
        return self._is_http and self._container.duration is not None


def create(address: str, options: ProducerOptions) -> PyAvProducer:
    """Open a URL, a file, or `pipe:FD`.

    Raises:
        SourceError: with the reason why it does not open.
    """
    return PyAvProducer(address, options)


def open_container(address: str, options: ProducerOptions) -> tuple[InputContainer, VideoStream]:
    """What `address` holds, and its video stream with the most pixels.

    Raises:
        SourceError: it does not open, or has no video.
    """
    av_options = _SCHEMES.get(address.partition("://")[0], _PROBE if _is_stream(address) else {})
    container = _open(address, options, av_options)
    if _find_video(container) is None and av_options is _PROBE_HTTP:
        container.close()
        container = _open(address, options, av_options | _PROBE)
    stream = _find_video(container)
    if stream is None:
        container.close()
        raise SourceError("no_video", "it has no video that can be decoded")
    stream.codec_context.thread_count = DECODE_THREADS
    # Threads that each take a frame would hold the newest one back.
    stream.codec_context.thread_type = "SLICE" if _is_stream(address) else "AUTO"
    return container, stream


def _open(address: str, options: ProducerOptions, av_options: dict[str, str]) -> InputContainer:
    # If a read hangs, the parent gives up first, and reports that the camera has stalled.
    timeout = (OPEN_TIMEOUT, options.timeout + 5) if _is_stream(address) else None
    try:
        login = add_login(address, options.username, options.password)
        # A title may be in any encoding.
        return av.open(login, options=av_options, timeout=timeout, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise to_source_error(error, address) from None


def _is_stream(address: str) -> bool:
    return "://" in address or address.startswith("pipe:")


def _state_rate(stream: VideoStream) -> float:
    """The frames a second that a stream states; 0 if it does not."""
    return float(stream.average_rate or stream.guessed_rate or 0)


def _find_video(container: InputContainer) -> VideoStream | None:
    # A stream of an unknown codec has no context.
    sound = [s for s in container.streams.video if s.codec_context and s.codec_context.width]
    return max(sound, key=lambda s: s.codec_context.width * s.codec_context.height, default=None)


def to_planes(frame: VideoFrame) -> Planes:
    """The frame as it was decoded, in its own memory; an unusual format is converted to BGR."""
    cell, matrix = _CELLS.get(frame.format.name), _MATRICES.get(frame.colorspace)
    if cell is None or matrix is None or any(plane.line_size <= 0 for plane in frame.planes):
        bgr = frame.reformat(format="bgr24", interpolation="BICUBIC").to_ndarray()
        return Planes.from_bgr(bgr.astype(np.uint8, copy=False))
    y, *colours = frame.planes
    if len(colours) == 1:  # nv12: U and V in turn
        pairs = _view(colours[0], 2).reshape(colours[0].height, -1, 2)
        planes = [pairs[:, :, 0], pairs[:, :, 1]]
    else:
        planes = [_view(plane) for plane in colours]
    full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
    return Planes((_view(y), *planes), YuvForm(matrix, full, cell))


def _view(plane: VideoPlane, samples: int = 1) -> Image:
    """The rows of a plane with `samples` bytes a pixel, without what pads them."""
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : samples * plane.width]
