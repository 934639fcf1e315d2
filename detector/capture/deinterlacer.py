"""Whole frames out of interlaced video: FFmpeg's bwdif filter, from the first frame that needs it.

Recorders and analogue cameras give two fields in a frame, taken one after the other: whoever moves
has combs at the edges.
"""

from __future__ import annotations

from collections.abc import Iterator

import av.error
from av.filter import Graph
from av.video.frame import VideoFrame


class Deinterlacer:
    """Passes progressive video through as it is; interlaced video comes one frame later."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._form: tuple[int, int, str] | None = None
        self.used = False  # whether a frame was interlaced

    def process(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        """The frames that can be shown now: none, one or several."""
        if self._graph is None and not frame.interlaced_frame:
            yield frame
            return
        self.used = True
        form = frame.width, frame.height, frame.format.name
        if form != self._form:
            yield from self.flush()
            self._graph, self._form = _create_graph(frame), form
        assert self._graph is not None  # noqa: S101 - made with its form
        self._graph.vpush(frame)
        yield from self._pull()

    def flush(self) -> Iterator[VideoFrame]:
        """The last frame, once the video has ended."""
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._pull()
            self._graph = self._form = None

    def _pull(self) -> Iterator[VideoFrame]:
        assert self._graph is not None  # noqa: S101 - something was pushed
        while True:
            try:
                yield self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return


def _create_graph(frame: VideoFrame) -> Graph:
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base,
    )
    filter_ = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    graph.link_nodes(source, filter_, graph.add("buffersink")).configure()
    return graph
