"""Recall and precision on labelled pictures, and faces found where there are none."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bench.faces import data
from bench.faces.data import Still, say
from bench.faces.engines import Engine
from bench.faces.match import Score, score


@dataclasses.dataclass
class Stills:
    """One engine's figures; `false_faces` is None where there are no negatives."""

    score: Score = dataclasses.field(default_factory=Score)
    false_faces: int | None = None


def run(engine: Engine, stills: list[Still], negatives: list[Path], tell_misses: bool) -> Stills:
    """Every picture once. One that cannot be read is told, and left out for all engines alike."""
    result = Stills()
    by_set: dict[str, Score] = {}
    for number, still in enumerate(stills, 1):
        image = data.picture(still.path)
        if image is None:
            say(f"{still.path} cannot be read, and is left out")
            continue
        one = score(engine.still(image), still.faces, still.ignore)
        result.score += one
        group = _group(still.path)
        by_set[group] = by_set.get(group, Score()) + one
        if tell_misses and (one.found < one.faces or one.false):
            say(f"{engine.name}: {still.path.name}: {one}")
        _progress(engine, "pictures", number, len(stills))
    for group, of_set in by_set.items():
        say(f"{engine.name}: {group}: recall {of_set.recall:.3f} precision {of_set.precision:.3f}")
    if negatives:
        result.false_faces = sum(_false(engine, path, tell_misses) for path in negatives)
        say(f"{engine.name}: {result.false_faces} faces in {len(negatives)} pictures without any")
    return result


def _group(path: Path) -> str:
    parts = path.parts
    return parts[parts.index("stills") + 1] if "stills" in parts else path.parent.name


def _false(engine: Engine, path: Path, tell_misses: bool) -> int:
    image = data.picture(path)
    if image is None:
        say(f"{path} cannot be read, and is left out")
        return 0
    found = len(engine.still(image))
    if found and tell_misses:
        say(f"{engine.name}: {path.name}: {found} where there are none")
    return found


def _progress(engine: Engine, what: str, number: int, of: int) -> None:
    if number % 50 == 0 or number == of:
        say(f"{engine.name}: {number} of {of} {what}")
