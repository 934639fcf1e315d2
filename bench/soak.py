"""The whole pipeline under random faults, for minutes or hours; not one face may be lost.

Run: `python -m bench.soak --minutes 15 --seed 1`. Real processes: two Mosquittos, detector,
forwarder, processor, an S3 server; a TCP proxy plays the link to the cloud, another one the way to
the store. What was published is recorded here, by its SHA-256, and compared with the bucket at the
end. Exits with 1 when a face is lost, altered or stored twice, or when the books do not balance.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import camera
from bench.faults import Faults
from bench.parts import ASK, Feed, Parts
from bench.report import Figure, percentile, tell
from bench.witness import Stored
from testing.mqtt.record import Record

DRAIN_WITHIN = 600.0  # seconds for what waits, once all is well again
ID = re.compile(r"_([0-9a-f]{32})\.png$")


def detector(parts: Parts, clip: Path, loop: int) -> Feed:
    return parts.detector(clip, CAMERA_LOOP=loop, CAMERA_END="idle", MIN_FACE=0.4)


def bucket(parts: Parts) -> dict[str, str]:
    """Key to SHA-256 of the faces that are stored."""
    root = parts.store.bucket
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.glob("[!.]*/**/*.png")
        if path.relative_to(root).parts[0] != "rejected"
    }


class Verdict:
    """The books, the bucket and what went over the detector's wire, compared."""

    def __init__(self, books: dict[str, int], objects: dict[str, str], record: Record) -> None:
        ids = collections.Counter(_id(key) for key in objects)
        stored = {_id(key): digest for key, digest in objects.items()}
        fates = sum(books[name] for name in ("confirmed", "rejected", "dropped", "waiting", "sent"))
        given_up = books["rejected"] + books["dropped"]
        expected = books["captured"] - given_up
        sent = record.digests
        self.unbalanced = abs(books["captured"] - fates) + books["waiting"]
        self.lost = max(0, expected - len(ids), len(sent.keys() - ids.keys()) - given_up)
        self.surplus = max(0, len(ids) - expected)
        self.twice = sum(count - 1 for count in ids.values())
        self.compared = len(sent.keys() & stored.keys())
        wrong = {id for id, digest in stored.items() if sent.get(id) != digest}
        self.altered = len(wrong | record.differing)
        self.objects = len(objects)


def _id(key: str) -> str:
    match = ID.search(key)
    return match[1] if match else key


def commit() -> str:
    """The commit that is measured, and whether the services' files differ from it."""
    services = ["common", "detector", "forwarder", "processor"]
    head = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *services)
    return head + (", and changes" if changed else "")


def _git(*command: str) -> str:
    told = subprocess.run(["git", *command], capture_output=True, text=True, check=False)
    return told.stdout.strip()


def soak(parts: Parts, minutes: float, seed: int, pace: float, fps: float) -> list[Figure]:
    """Let it rain, end in order, and compare."""
    clip, blank = camera.close(parts.folder, fps, seed), camera.nobody(parts.folder)
    with Stored(parts.cloud.port) as stored, detector(parts, clip, 1) as first:
        first.comes_to(30, confirmed=1)
        with Faults(parts, first, seed, pace) as faults:
            _wait(60 * minutes, faults, first)
        at_end = first.comes_to(30, captured=1)
        if first.stop() != 0:
            raise RuntimeError("the detector did not end in order")
        quiet = time.monotonic()
        with detector(parts, blank, 0) as second:
            books = second.comes_to(60, captured=at_end["captured"])
            while books["waiting"] and time.monotonic() < quiet + DRAIN_WITHIN:
                time.sleep(ASK)
                books = second.books() or books
            services = (first, second, parts.forwarder, parts.processor)
            faulty = sum(service.log.count("Traceback") for service in services)
        drained = time.monotonic() - quiet
    _print_faults(faults)
    return [
        Figure("kills", faults.kills, ""),
        Figure("link cuts", faults.cuts, ""),
        Figure("confirmed while faults went on", at_end["confirmed"], "faces"),
        Figure("waiting when they ended", at_end["waiting"], "faces"),
        Figure("time to store these", drained, "s"),
        *_figures(Verdict(books, bucket(parts), parts.record), books, parts.record, stored),
        Figure("tracebacks in the services' logs", faulty, "", 0),
    ]


def _print_faults(faults: Faults) -> None:
    for what, count in sorted(faults.counts.items()):
        print(f"{what:<48} {count:>10}")
    for name, count in sorted((+faults.ended).items()):
        print(f"{name + ' ended by itself, started again':<48} {count:>10}")


def _figures(
    verdict: Verdict, books: dict[str, int], record: Record, stored: Stored
) -> list[Figure]:
    times = list(stored.seconds.values())
    copies = sum(record.copies.values()) - len(record.copies)
    return [
        Figure("faces captured", books["captured"], "faces"),
        Figure("objects", verdict.objects, ""),
        Figure("compared by the SHA-256 recorded here", verdict.compared, "faces"),
        Figure("captured to stored, median", percentile(times, 0.5), "s"),
        Figure("captured to stored, p90", percentile(times, 0.9), "s"),
        Figure("captured to stored, p99", percentile(times, 0.99), "s"),
        Figure("copies published", copies, "faces"),
        Figure("stored once more, under the same key", stored.puts - len(times), "faces"),
        Figure("dropped or rejected, and counted", books["dropped"] + books["rejected"], "faces"),
        Figure("faces lost", verdict.lost, "", 0),
        Figure("objects that no face accounts for", verdict.surplus, "", 0),
        Figure("objects stored twice", verdict.twice, "", 0),
        Figure("objects altered", verdict.altered, "", 0),
        Figure("faces by which the books are out", verdict.unbalanced, "", 0),
    ]


def _wait(seconds: float, faults: Faults, feed: Feed) -> None:
    """Let it rain, and say now and then how it goes."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(30.0, left))
        told = ", ".join(f"{count} {name}" for name, count in feed.books().items() if count)
        left = max(0.0, end - time.monotonic())
        print(f"{left:6.0f} s left: {faults.kills} kills, {faults.cuts} cuts; {told}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=1, help="of all that is left to chance")
    parser.add_argument(
        "--pace", type=float, default=7.0, help="mean seconds of storm between kills of a part"
    )
    parser.add_argument("--fps", type=float, default=20.0, help="frames, and faces, a second")
    args = parser.parse_args()
    asked = " ".join(f"--{name} {value:g}" for name, value in vars(args).items())
    print(f"python -m bench.soak {asked}\ncommit {commit()}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="facepipe-soak-"))
    with Parts(folder) as parts:
        figures = soak(parts, args.minutes, args.seed, args.pace, args.fps)
        tell("soak", figures)
        good = all(figure.holds is not False for figure in figures)
        if not good:
            for service in (parts.forwarder, parts.processor):
                (folder / f"{service.name}.log").write_text(service.log)
            print(f"what there is to look at is in {folder}")
    if good:
        shutil.rmtree(folder)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
