"""Faces found, missed and sent, and how fast, beside the plain loop on the same material.

`python -m bench.detection [--data DIR]` tries four engines on a folder of pictures and clips with
labels (bench/faces/data.py says its form): `plain`, the loop that everyone writes first (grey,
detectMultiScale with haarcascade_frontalface_default over the whole frame, crop, encode, for every
frame; 5 neighbours, 24 pixels at least, scale 1.3 on pictures and 1.1 on clips), and the detector
with `haar` (JUDGE=auto), `haar-cascade` (JUDGE=cascade) and `yunet`. It tells its progress on
standard error, prints a table, and as its last line one JSON object of four objects with the keys

- recall, precision: on pictures with labels. Faces of 24 pixels or more are to be found; a hit is
  an IoU of 0.3 or more, or each centre within the other box; one detection finds one face.
  Detections that hit only smaller faces, or regions to ignore, count neither way.
- false_faces: detections in the pictures without faces.
- speed_1080p, speed_vga, speed_empty: times the plain loop, in the same run and in turns, on the
  same frames, decoding left out, cutting and encoding included (CAPTURE=interval): with people at
  1080p (clips scaled up and tiled), clips of about 640x480 as they are, 1080p with nobody in view.
- visits, visits_missed: of clips/visits.json, with a face of 24 pixels or more; caught by a shot
  (CAPTURE=interval) within its frames, a labelled step before and after allowed, whose face hits
  the label moved evenly between the labelled frames.
- objects_per_visit: shots of visits (CAPTURE=best), divided by the visits that have any.
- not_faces, shots: of all shots sent (CAPTURE=interval), those that hit no label of any size, and
  no uncertain one, in the labelled frames around or on the way between them.
- sharpness_ratio: the median over visits caught of the variance of the Laplacian of the face sent,
  at 128x128 pixels, divided by the greatest of its visit, both in the labels' boxes.

A figure that the folder has no material for is null, and so is `yunet` where there is no model.
Beside visits missed stands the interval that holds 95 % of resamples of the clips (bootstrap).
`--variants` adds clips made harder (bench/faces/variants.py), told in lines of their own.
`--folds K` tells visits missed only, with the thresholds chosen on the clips of other sources
(bench/faces/folds.py).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from bench.faces import clips, data, folds, speed, stills, variants
from bench.faces.data import say
from bench.faces.engines import CLIP_SCALE, Engine, Plain
from bench.report import Figure, keep

NAMES = ("plain", "haar", "haar-cascade", "yunet")
PARTS = ("stills", "clips", "speed")
KEYS = (
    "recall",
    "precision",
    "false_faces",
    "speed_1080p",
    "speed_vga",
    "speed_empty",
    "visits_missed",
    "visits",
    "objects_per_visit",
    "not_faces",
    "shots",
    "sharpness_ratio",
)


@dataclasses.dataclass(frozen=True)
class Goal:
    """What each engine should come to; `of` is the key whose share in percent is meant."""

    haar: float
    cascade: float
    yunet: float
    sense: Literal["at least", "at most"] = "at most"
    of: str = ""
    unit: str = ""

    def target(self, engine: str) -> float | None:
        each = {"haar": self.haar, "haar-cascade": self.cascade, "yunet": self.yunet}
        return each.get(engine)

    def wanted(self, engine: str) -> str:
        sign = ">" if self.sense == "at least" else "<"
        return f"{sign} {self.target(engine):g}{'%' if self.of else ''}"


GOALS = {
    "recall": Goal(0.95, 0.92, 0.98, "at least"),
    "precision": Goal(0.99, 0.98, 0.998, "at least"),
    "false_faces": Goal(3, 3, 3),
    "speed_1080p": Goal(15, 12, 15, "at least", unit="x"),
    "speed_vga": Goal(5, 4, 8, "at least", unit="x"),
    "speed_empty": Goal(40, 40, 60, "at least", unit="x"),
    "visits_missed": Goal(5, 11, 4, of="visits"),
    "objects_per_visit": Goal(1.3, 1.4, 1.3),
    "not_faces": Goal(0.5, 2, 0.5, of="shots"),
    "sharpness_ratio": Goal(0.9, 0.85, 0.9, "at least"),
}
Figures = dict[str, Any]


def main() -> None:
    options = _options()
    if options.folds:
        found = data.clips(options.data)
        print(folds.run(_makers(options), found, options.variants, options.folds))
        return
    engines = _engines(options)
    figures: dict[str, Figures | None] = dict.fromkeys(NAMES)
    for engine in engines:
        figures[engine.name] = dict.fromkeys(KEYS)
    if "stills" in options.parts:
        _stills(options, engines, figures)
    found = data.clips(options.data) if {"clips", "speed"} & set(options.parts) else []
    if options.quick:
        found = found[:: max(1, len(found) // 8)]
    intervals: dict[str, str] = {}
    if "clips" in options.parts and found:
        intervals = _clips(options, engines, found, figures)
    if "speed" in options.parts and found:
        _speed(options, engines, found, figures)
    print(_table(figures, intervals))
    keep("detection", list(_judged(figures)))
    print(json.dumps(figures), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.detection",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=data.DEFAULT, help="default: %(default)s")
    parser.add_argument("--engines", type=_some_of(NAMES), default=list(NAMES), help="a,b,...")
    parser.add_argument("--parts", type=_some_of(PARTS), default=list(PARTS), help="a,b,...")
    parser.add_argument(
        "--set",
        action="append",
        type=_setting,
        default=[],
        metavar="NAME=VALUE",
        help="of the detector, to try",
    )
    parser.add_argument(
        "--variants",
        type=_kinds,
        default=[],
        metavar="KIND,...",
        help=f"clips made harder, too: all, or some of {','.join(variants.KINDS)}",
    )
    parser.add_argument(
        "--folds",
        type=int,
        default=0,
        metavar="K",
        help="visits missed with thresholds chosen on K-1 parts of the clips, told of the others",
    )
    parser.add_argument("--rounds", type=int, default=3, help="of speed (default: 3)")
    parser.add_argument("--frames", type=int, default=90, help="of each clip for speed (90)")
    parser.add_argument("--scale", type=float, default=CLIP_SCALE, help="plain's on clips (1.1)")
    parser.add_argument("--misses", action="store_true", help="tell each picture that went wrong")
    parser.add_argument("--quick", action="store_true", help="a tenth of it all, to try things")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"there is no folder {options.data}")
    if options.quick:
        options.rounds, options.frames = 1, 20
    return options


def _some_of(known: tuple[str, ...]) -> Any:
    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        if not set(chosen) <= set(known):
            raise argparse.ArgumentTypeError(f"some of {','.join(known)}")
        return [name for name in known if name in chosen]

    return parse


def _setting(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not (name and mark):
        raise argparse.ArgumentTypeError("NAME=VALUE")
    return name, value


def _engines(options: argparse.Namespace) -> list[Engine]:
    engines: list[Engine] = [Plain(options.scale)] if "plain" in options.engines else []
    others = [name for name in options.engines if name != "plain"]
    if others:
        from bench.faces.product import Product, Unavailable

        more = dict(options.set)
        for name in others:
            try:
                engines.append(Product(name, more))
            except Unavailable as error:
                say(str(error))
    return engines


def _stills(options: argparse.Namespace, engines: list[Engine], figures: Any) -> None:
    labelled, negatives = data.stills(options.data), data.negatives(options.data)
    step = 10 if options.quick else 1
    for engine in engines:
        result = stills.run(engine, labelled[::step], negatives[::step], options.misses)
        figures[engine.name] |= {
            "recall": _known(result.score.recall),
            "precision": _known(result.score.precision),
            "false_faces": result.false_faces,
        }


def _clips(
    options: argparse.Namespace, engines: list[Engine], found: list[data.Clip], figures: Any
) -> dict[str, str]:
    """Fills `figures`; visits missed with their interval, by engine."""
    tallies: dict[str, clips.Tally] = {engine.name: clips.Tally() for engine in engines}
    outcomes: dict[str, list[folds.Outcome]] = {engine.name: [] for engine in engines}
    for kind in (folds.BASE, *options.variants):
        for clip in found:
            for one in [clip] if kind == folds.BASE else variants.make(kind, clip):
                for name, tally in clips.run(engines, [one], 60 if options.quick else None).items():
                    outcomes[name].append(folds.Outcome(folds.source(clip.name), kind, tally))
                    if kind == folds.BASE:
                        tallies[name] += tally
    for name, tally in tallies.items():
        figures[name] |= {
            "visits_missed": tally.missed,
            "visits": tally.visits,
            "objects_per_visit": _known(tally.objects_per_visit),
            "not_faces": tally.not_faces,
            "shots": tally.shots,
            "sharpness_ratio": _known(tally.sharpness_ratio),
        }
        if tally.own_ratios:
            own = statistics.median(tally.own_ratios)
            say(f"{name}: sharpness ratio measured in its own boxes {own:.3f}")
    return {
        f"{name}, {kind}": folds.missed([one for one in results if one.kind == kind])
        for name, results in outcomes.items()
        for kind in (folds.BASE, *options.variants)
    }


def _makers(options: argparse.Namespace) -> dict[str, folds.Maker]:
    """What makes each engine with its thresholds times a factor."""
    from bench.faces.product import Product

    def make(name: str) -> folds.Maker:
        if name == "plain":
            return lambda _: Plain(options.scale)
        return lambda factor: Product(name, dict(options.set), factor, modes=("interval",))

    return {name: make(name) for name in options.engines}


def _kinds(text: str) -> list[str]:
    return list(variants.KINDS) if text == "all" else _some_of(tuple(variants.KINDS))(text)


def _speed(options: argparse.Namespace, engines: list[Engine], found: Any, figures: Any) -> None:
    if engines[0].name != "plain":
        say("speed is told beside the plain loop only")
        return
    kinds = {
        "speed_1080p": speed.crowded(found, options.frames),
        "speed_vga": speed.ordinary(found, options.frames),
        "speed_empty": speed.deserted(found, options.frames),
    }
    for key, material in kinds.items():
        if not material:
            say(f"{key}: no clip of that kind")
            continue
        for name, times in speed.run(engines, material, options.rounds).items():
            figures[name][key] = _known(times)


def _judged(figures: dict[str, Figures | None]) -> Iterator[Figure]:
    """The figures that were measured, as those of other benches: shares in percent."""
    for name, values in figures.items():
        for key, goal in GOALS.items():
            value = values[key] if values else None
            if values is None or value is None:
                continue
            label = f"{name}: {key.replace('_', ' ')}"
            if goal.of:
                value, label = 100 * value / max(1, values[goal.of]), f"{label} of {goal.of}"
            unit = "%" if goal.of else goal.unit
            yield Figure(label, value, unit, goal.target(name), goal.sense)


def _known(value: float | None) -> float | None:
    """Rounded; None for what cannot be told."""
    return None if value is None or math.isnan(value) else round(value, 4)


def _table(figures: dict[str, Figures | None], intervals: dict[str, str]) -> str:
    names = [name for name in NAMES if figures[name]] or list(NAMES)
    lines = [f"{'':<18}" + "".join(f"{name:>14}{'':<9}" for name in names)]
    for key in KEYS:
        cells = []
        for name in names:
            goal = GOALS[key].wanted(name) if key in GOALS and name != "plain" else ""
            cells.append(f"{_shown(figures[name], key):>14} {goal:<8}")
        lines.append(f"{key:<18}" + "".join(cells).rstrip())
    lines += [f"visits missed, {name}: {text}" for name, text in intervals.items()]
    return "\n".join(lines)


def _shown(figures: Figures | None, key: str) -> str:
    value = figures[key] if figures else None
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


if __name__ == "__main__":
    main()
