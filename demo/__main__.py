"""`python -m demo`: play a clip as the camera, and watch its faces arrive in a bucket."""

from __future__ import annotations

import argparse
import io
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from demo import watch
from demo.line import QUIET, Line, Outage
from demo.stack import DemoError, Stack

CLIP = Path(__file__).with_name("clip.mp4")
STALLED_AFTER = 60.0  # seconds without any progress after which --once gives up


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Run the whole pipeline on this machine: detector, two brokers, forwarder,"
        " processor, gallery, and a local S3 server whose bucket is a plain folder. It needs no"
        " Docker, camera, account or root. It uses free ports, so several demos can run at once.",
    )
    parser.add_argument(
        "--camera",
        default=str(CLIP),
        metavar="SOURCE",
        help="webcam (0, /dev/video0), rtsp:// or http:// stream, video file, or folder of images"
        " (default: the bundled clip)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("demo-data"),
        metavar="DIR",
        help="folder of the bucket, which stays after the demo (default: demo-data)",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="play SOURCE to its end, wait until every face is in the bucket, print one line of"
        " JSON and exit (default: play it in a loop until Ctrl-C)",
    )
    parser.add_argument(
        "--outage",
        type=float,
        metavar="SECONDS",
        help="cut the connection between forwarder and cloud for SECONDS, 5 s after the first face"
        " (with --once: at the first face), to watch the outbox fill and drain",
    )
    parser.add_argument(
        "--capture",
        choices=("every", "interval", "best"),
        default="every",
        help="which shots are sent: every detection, the best of each face each second (the"
        " detector's own default), or one per visit (default: every, so that there is more to see)",
    )
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # in a pipe or a log, it would wait for more
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        camera = _absolute(options.camera)
        # With --once it is over before anybody can open a page.
        gallery = not options.once
        data = options.data.resolve()
        with Stack(data, camera, options.capture, options.once, gallery) as stack:
            # With --once a clip may be over within those 5 s.
            quiet = 0.0 if options.once else QUIET
            outage = Outage(stack, options.outage, quiet) if options.outage else None
            return _play_once(stack, outage) if options.once else _play_on(stack, outage)
    except KeyboardInterrupt:
        print("\nstopped; the bucket remains", file=sys.stderr)
        return 0
    except (DemoError, OSError, RuntimeError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _absolute(camera: str) -> str:
    """The path of `camera` from the project's folder, where the detector runs."""
    return str(Path(camera).resolve()) if Path(camera).exists() else camera


def _play_on(stack: Stack, outage: Outage | None) -> int:
    arrivals = watch.Arrivals(stack.ports["cloud"])
    stack.start_detector()
    stack.wait_for("gallery")
    print("The pipeline is running. Watch the faces arrive:")
    print(f"  http://127.0.0.1:{stack.ports['gallery']}/   {stack.login}")
    print(f"Each one is an object in a bucket, which is a folder here:\n  {stack.bucket}")
    print("Health and metrics of each service:")
    for name in ("detector", "forwarder", "processor", "gallery"):
        port = stack.ports.get(f"{name}'s health", stack.ports[name])
        print(f"  {name:<10} http://127.0.0.1:{port}/healthz and /metrics")
    print(f"Live picture: http://127.0.0.1:{stack.ports['detector']}/")
    print(f"Brokers: edge 127.0.0.1:{stack.ports['edge']}, cloud 127.0.0.1:{stack.ports['cloud']}")
    print(f"Logs: {stack.logs}\nPress Ctrl-C to stop.\n")
    line = Line(stack, arrivals, outage)
    while True:
        stack.check()
        line.show(watch.books(stack.ports["detector"]))
        time.sleep(0.5)


def _play_once(stack: Stack, outage: Outage | None) -> int:
    before = watch.faces_in(stack.bucket)
    arrivals = watch.Arrivals(stack.ports["cloud"])
    began = time.monotonic()
    detector = stack.start_detector()
    line = Line(stack, arrivals, outage)
    books = _until_settled(stack, line.show)
    stored = len(watch.faces_in(stack.bucket) - before)
    line.end()
    if detector.process.poll() is not None:
        detector.check()
    result = {
        "captured": books.captured,
        "stored": stored,
        "rejected": books.rejected,
        "seconds": round(time.monotonic() - began, 2),
    }
    if books.captured != stored + books.rejected:
        lost = f"{books.captured} captured, {stored} stored, {books.rejected} rejected"
        print(f"demo: the counts do not add up: {lost}, {books.dropped} dropped", file=sys.stderr)
    print(json.dumps(result))
    return 0 if books.captured == stored + books.rejected else 1


def _until_settled(stack: Stack, show: Callable[[watch.Books], None]) -> watch.Books:
    """Wait until the file has ended and no face waits; returns the final counts.

    Raises:
        DemoError: a part ended, or nothing has moved for a long time.
    """
    last, moved_at = watch.Books(), time.monotonic()
    while True:
        stack.check()
        books = watch.books(stack.ports["detector"])
        show(books)
        if books.ended and not books.waiting:
            return books
        if books != last:
            last, moved_at = books, time.monotonic()
        elif time.monotonic() - moved_at > STALLED_AFTER:
            text = (
                f"{books.waiting} of {books.captured} faces are still waiting, without any progress"
            )
            raise DemoError(f"{text}; see {stack.logs}")
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
