"""The file that `CAMERAS` names: a TOML table per camera, whose keys are a camera's settings."""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.settings import SettingsError, name, read_setting
from detector.camera_settings import CameraSettings, iterate_keys

KEYS = {key: (field, spec) for key, field, spec in iterate_keys()}
# Keys of files that hold a secret, such as password_file.
SECRETS = {f"{key}_file": key for key, (_, spec) in KEYS.items() if spec.secret}
_ALL = f": a camera has {', '.join(KEYS)}; the environment has what concerns all of them"
MAX_CAMERAS = 64


def read_cameras(path: str, shared: CameraSettings) -> list[CameraSettings]:
    """The cameras of a file, in its order.

    shared: the settings of the environment, which count where a table has none of its own.

    Raises:
        SettingsError: with every problem of every table.
    """
    tables = _load(path)
    problems: list[str] = []
    if not tables:
        problems.append(f"CAMERAS={path} has no table: each camera needs one, such as [front-door]")
    if len(tables) > MAX_CAMERAS:
        problems.append(f"CAMERAS={path} has {len(tables)} tables: at most {MAX_CAMERAS} work")
    cameras = []
    for title, table in tables.items():
        reader = _TableReader(title, Path(path).parent, shared)
        cameras.append(reader.read(table))
        problems += reader.problems
    problems += _find_shared_webcams(cameras)
    if problems:
        raise SettingsError(problems)
    return cameras


def _load(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise SettingsError([f"CAMERAS={path} is not valid UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"CAMERAS={path} is not valid TOML: {error}"]) from None
    except OSError as error:
        raise SettingsError([f"CAMERAS={path} cannot be read: {error.strerror}"]) from None


class _TableReader:
    """Reads one table; `problems` has a sentence for each thing that is wrong in it."""

    def __init__(self, title: str, folder: Path, shared: CameraSettings) -> None:
        """
        folder: where a relative path of a secret begins.
        shared: the settings that count where the table has none of its own.
        """
        self._folder = folder
        self._camera = dataclasses.replace(shared, camera_name=title, table=title)
        self.problems: list[str] = []

    def read(self, table: Any) -> CameraSettings:
        """The camera of the table; a setting that is wrong is left as it was."""
        try:
            name(self._camera.table)
        except ValueError as error:
            self._report(f"is no name of a camera: it {error}")
        if not isinstance(table, dict):
            self._report("stands outside of a table: each begins with a name, as in [front-door]")
            return self._camera
        texts = dict(self._read_texts(table))
        camera = dataclasses.replace(self._camera, **dict(self._read_values(texts)))
        if not texts.get("CAMERA") and "CAMERA_FILE" not in texts:
            self._report(f"CAMERA is not set: {KEYS['source'][1].meaning}")
        for problem in camera.problems():
            self._report(problem)
        return camera

    def _report(self, sentence: str) -> None:
        self.problems.append(self._camera.explain(sentence))

    def _read_texts(self, table: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Each setting of the table by the name that it has in the environment, as text."""
        for key, value in table.items():
            try:
                text = _to_text(value)
            except ValueError as error:
                self._report(f"{key} {error}")
                continue
            if key in KEYS:
                yield KEYS[key][1].name, text
            elif key in SECRETS:
                yield f"{KEYS[SECRETS[key]][1].name}_FILE", str(self._folder / text)
            else:
                self._report(f"{key} is unknown{_suggest(key)}")

    def _read_values(self, texts: dict[str, str]) -> Iterator[tuple[str, Any]]:
        """The field and the value of each setting among these texts."""
        for field, spec in KEYS.values():
            if not texts.keys() & {spec.name, f"{spec.name}_FILE"}:
                continue
            try:
                yield field, read_setting(spec, texts)
            except ValueError as error:
                self._report(f"{spec.name} {error}")


def _to_text(value: Any) -> str:
    """A value of TOML as the environment would hold it; `mask` may be an array of arrays."""
    if isinstance(value, bool):
        return f"{value:d}"
    if isinstance(value, (str, int, float)):
        return str(value)
    if isinstance(value, list) and value:
        rows = [",".join(map(_to_text, row)) if isinstance(row, list) else row for row in value]
        return ";".join(map(_to_text, rows))
    raise ValueError("must be text in quotes, a number, true or false")


def _suggest(key: str) -> str:
    """What the person may have meant by a key that does not exist."""
    known = [*KEYS, *SECRETS]
    plain = key.lower().replace("-", "_").removeprefix("camera_")
    close = difflib.get_close_matches({"camera": "source"}.get(plain, plain), known, 1)
    return f": did you mean {close[0]}?" if close else _ALL


def _find_shared_webcams(cameras: list[CameraSettings]) -> Iterator[str]:
    """Only one process can read a webcam, whatever the path by which it is named."""
    first: dict[str, str] = {}
    for camera in cameras:
        if camera.camera and camera.source.kind == "device":
            device = os.path.realpath(camera.source.address)
            other = first.setdefault(device, camera.table)
            if other != camera.table:
                yield camera.explain(f"CAMERA is the webcam of [{other}], too: {device}")
