"""What `make bench` runs, and how long that takes on two cores."""

from __future__ import annotations

import dataclasses

from bench.faces import data


@dataclasses.dataclass(frozen=True)
class Bench:
    """One of `python -m bench.NAME`; its figures stand under its name in results.json."""

    name: str
    about: str
    seconds: int  # that the short form takes, as measured
    short: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    needs_faces: bool = False  # pictures and clips with labels

    def missing(self) -> str:
        """Why it cannot run here; empty if it can."""
        if self.needs_faces and not data.DEFAULT.is_dir():
            return f"there is no folder {data.DEFAULT} with pictures and clips (docs/detection.md)"
        return ""


SUITE = (
    Bench("forwarder", "the forwarder beside Mosquitto's bridge", 180, full=("--full",)),
    Bench("processor", "the processor beside the SDK alone, and obstore", 120, full=("--full",)),
    Bench("chain", "end to end, what receipts cost, and an outage", 70, full=("--seconds", "15")),
    Bench("fleet", "100 devices into one cloud side", 70, full=("--seconds", "15")),
    Bench("gallery", "the gallery's pages", 30, ("--faces", "20000")),
    Bench("keepup", "keeping up with a camera", 30, ("--seconds", "20"), ("--seconds", "300")),
    Bench(
        "detection",
        "detection beside the plain loop",
        110,
        short=("--parts", "speed", "--rounds", "1"),
        needs_faces=True,
    ),
    Bench(
        "quiet",
        "false shots in scenes without people",
        90,
        short=("--pictures", "10", "--minutes", "0.1"),
        needs_faces=True,
    ),
)
