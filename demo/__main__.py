"""`python -m demo`: play a clip as the camera, and watch its faces arrive in a bucket."""

from __future__ import annotations

import argparse
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
        description="The whole pipeline on this machine: detector, two brokers, forwarder,"
        " processor, gallery, and a local S3 server whose bucket is a plain folder. Needs no"
        " Docker, camera, account or root; ports are free ones, so that several can run side by"
        " side.",
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
        help="folder that holds the bucket, and keeps it (default: demo-data)",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="play SOURCE to its end, wait until every face is in the bucket, print one line of"
        " JSON, exit (default: play it again and again until Ctrl-C)",
    )
    parser.add_argument(
        "--outage",
        type=float,
        metavar="SECONDS",
        help="cut the link between forwarder and cloud for so long, 5 s after the first face"
        " (with --once: at the first face), and watch the outbox fill and drain",
    )
    parser.add_argument(
        "--capture",
        choices=("every", "interval", "best"),
        default="every",
        help="which faces are sent: every one found, the best of each face each second, which is"
        " what the detector does unless told otherwise, or one per visit (default: every, so that"
        " there is something to see on its way)",
    )
    return parser.parse_args()


def main() -> int:
    options = arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        camera = _absolute(options.camera)
        # Played once, it is over before anybody has opened a page.
        gallery = not options.once
        data = options.data.resolve()
        with Stack(data, camera, options.capture, options.once, gallery) as stack:
            # Played once, as fast as it goes, a clip may be over within those 5 s.
            quiet = 0.0 if options.once else QUIET
            outage = Outage(stack, options.outage, quiet) if options.outage else None
            return _play_once(stack, outage) if options.once else _play_on(stack, outage)
    except KeyboardInterrupt:
        print("\nstopped; the bucket stays", file=sys.stderr)
        return 0
    except (DemoError, OSError, RuntimeError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _absolute(camera: str) -> str:
    """The detector runs in the project's folder, the person perhaps in another."""
    return str(Path(camera).resolve()) if Path(camera).exists() else camera


def _play_on(stack: Stack, outage: Outage | None) -> int:
    arrivals = watch.Arrivals(stack.ports["cloud"])
    stack.start_detector()
    stack.wait_for("gallery")
    print("The pipeline is running. Look at the faces as they come:")
    print(f"  http://127.0.0.1:{stack.ports['gallery']}/   {stack.login}")
    print(f"Each is an object in a bucket, which is a folder here:\n  {stack.bucket}")
    print("What each service says of itself:")
    for name in ("detector", "forwarder", "processor", "gallery"):
        port = stack.ports.get(f"{name}'s health", stack.ports[name])
        print(f"  {name:<10} http://127.0.0.1:{port}/healthz and /metrics")
    print(f"Live picture: http://127.0.0.1:{stack.ports['detector']}/")
    print(f"Brokers: edge 127.0.0.1:{stack.ports['edge']}, cloud 127.0.0.1:{stack.ports['cloud']}")
    print(f"Logs: {stack.logs}\nCtrl-C ends it.\n")
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
        print(f"demo: the books do not balance: {lost}, {books.dropped} dropped", file=sys.stderr)
    print(json.dumps(result), flush=True)
    return 0 if books.captured == stored + books.rejected else 1


def _until_settled(stack: Stack, show: Callable[[watch.Books], None]) -> watch.Books:
    """Until the camera has ended and no face waits.

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
            text = f"{books.waiting} of {books.captured} faces wait, and nothing moves any more"
            raise DemoError(f"{text}; see {stack.logs}")
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
