"""A command whose standard output is the video, in any form that FFmpeg reads.

This is how ribbon-cable sensors, hardware decoders and protocols that FFmpeg lacks come in.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import shlex
import signal
import subprocess
import threading
from typing import IO

from detector.capture import pyav
from detector.capture.producer import ProducerOptions, SourceError
from detector.capture.source import hide_logins
from detector.planes import Planes

PIPE_SIZE = 1024 * 1024  # bytes: raw frames go through three times as fast as with the usual 64 kB
ENDS_WITHIN = 2.0  # seconds that a command has to end, once it has closed its output
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LINE = 200  # characters of its last line that are shown


class CommandProducer:
    """A `FrameProducer` over a command that runs as long as it does.

    The capture process is killed together with its process group, and so the command and its
    children are, too.
    """

    def __init__(self, command: str, options: ProducerOptions) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the operator's own command
                shlex.split(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - there are no threads yet
            )
        except (OSError, ValueError) as error:
            raise SourceError("not_open", f"the command cannot be started: {error}") from None
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        assert self._process.stderr is not None  # noqa: S101 - it is a pipe
        self._last = ""
        self._reader = threading.Thread(
            target=self._follow, args=(self._process.stderr,), daemon=True
        )
        self._reader.start()
        output = self._process.stdout.fileno()
        with contextlib.suppress(PermissionError):  # above what this user may have in pipes
            fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        try:
            self._video = pyav.create(f"pipe:{output}", options)
        except SourceError as error:
            raise self._explain_end(error) from None
        self.fps, self.frames = self._video.fps, 0

    @property
    def time(self) -> float:
        return self._video.time

    def grab(self) -> int | None:
        """Advance to the next frame. Raises SourceError, `ended`, when the command ends."""
        index = self._video.grab()
        if index is None:
            raise self._explain_end(SourceError("ended", "the command delivers no more frames"))
        return index

    def retrieve(self) -> Planes | None:
        return self._video.retrieve()

    def describe(self) -> dict[str, str]:
        return self._video.describe()

    def close(self) -> None:
        self._video.close()
        self._end()

    def _follow(self, errors: IO[bytes]) -> None:
        with errors:
            for line in errors:
                said = hide_logins(line.decode("utf-8", "replace")).strip()
                self._last = said[:_LINE] or self._last

    def _explain_end(self, error: SourceError) -> SourceError:
        """The error; if the command has exited by itself, what it printed last."""
        try:
            code = self._process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            return error
        finally:
            self._end()
        said = f": {self._last}" if self._last else ""
        return SourceError("ended", f"the command exited with code {code}{said}")

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(ENDS_WITHIN)  # a child of the command may hold the pipe
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        self._process.stdout.close()


def create(address: str, options: ProducerOptions) -> CommandProducer:
    """Start the command at `address`.

    Raises:
        SourceError: it does not start, or ends, or what it gives is no video.
    """
    return CommandProducer(address, options)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
