"""Settings from environment variables: declared once, read once, all problems reported at once.

A setting is a dataclass field created by `setting()`, with its name, meaning, unit and parser.
`read()` fills such a dataclass from the environment. A secret may also come from the file that
`NAME_FILE` names, and is starred wherever settings are shown.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from common import settings_file
from common.protocol.topics import DOCTOR, NAME
from common.settings_file import explain_permission

T = TypeVar("T")
Parser = Callable[[str], Any]
_REQUIRED = object()


class SettingsError(Exception):
    """Something that only a person can fix. `problems` has one sentence per problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclasses.dataclass(frozen=True)
class Spec:
    """One environment variable: its name, parser, default and meaning."""

    name: str
    parse: Parser
    default: Any
    meaning: str
    secret: bool = False
    show: Callable[[str], str] | None = None  # returns the part of a secret that may be shown

    @property
    def required(self) -> bool:
        return self.default is _REQUIRED

    def plain(self, value: Any) -> str:
        """A value as a person would write it; `-` for none."""
        if value is None or value == () or value == "":
            return "-"
        if isinstance(value, bool):
            return f"{value:d}"
        if isinstance(value, float):
            return f"{value:g}"
        return self._short(value) if isinstance(value, str) else str(value)

    def _short(self, text: str) -> str:
        """The short name that means the same as this path, if there is one."""
        name = Path(text).stem
        try:
            return name if self.parse(name) == text else text
        except ValueError:
            return text


def setting(
    name: str,
    parse: Parser,
    meaning: str,
    *,
    default: Any = _REQUIRED,
    secret: bool = False,
    show: Callable[[str], str] | None = None,
) -> Any:
    """A dataclass field that is read from the environment variable `name`."""
    spec = Spec(name, parse, default, meaning, secret, show)
    return dataclasses.field(metadata={"setting": spec})


def iterate_specs(cls: type) -> Iterator[tuple[str, Spec]]:
    """Each field name of a settings class with its `Spec`, in order of declaration."""
    for field in dataclasses.fields(cls):
        if "setting" in field.metadata:
            yield field.name, field.metadata["setting"]


def read(cls: type[T], environ: Mapping[str, str] = os.environ) -> T:
    """Fill the settings class `cls`; an empty variable counts as not set.

    What is not set is taken from the file that SETTINGS_FILE names, if any. A method
    `problems(self) -> Iterator[str]` on the class may add checks across settings.

    Raises:
        SettingsError: with every problem found, not only the first.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    try:
        environ = settings_file.with_settings_file(environ)
    except ValueError as error:
        problems.append(str(error))
    for field, spec in iterate_specs(cls):
        try:
            values[field] = read_setting(spec, environ)
        except ValueError as error:
            problems.append(f"{spec.name} {error}")
            # A stand-in, so that the checks across settings can still run.
            values[field] = "" if spec.required else spec.default
    settings = cls(**values)
    problems += getattr(settings, "problems", lambda: ())()
    if problems:
        raise SettingsError(problems)
    return settings


def read_setting(spec: Spec, environ: Mapping[str, str]) -> Any:
    """The value of one setting, or its default.

    Raises:
        ValueError: with the end of a sentence that begins with the setting's name.
    """
    text = environ.get(spec.name, "")
    file = environ.get(f"{spec.name}_FILE", "") if spec.secret else ""
    if file and not Path(file).is_char_device():  # /dev/null: Compose has to mount something
        if text:
            raise ValueError(f"is set, and so is {spec.name}_FILE: set only one of them")
        text = _read_secret(spec, file)
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ValueError("is not valid UTF-8")
    if not text:
        if spec.required:
            raise ValueError(f"is not set: {spec.meaning}")
        return spec.default
    try:
        return spec.parse(text)
    except ValueError as error:
        # A URL may hold a secret at any place, and a refused one is in no known form.
        shown = "" if spec.secret else " (it is ***)" if "://" in text else f" (it is {text!r})"
        raise ValueError(f"{error}{shown}: {spec.meaning}") from None


def _read_secret(spec: Spec, file: str) -> str:
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except PermissionError as error:
        raise ValueError(f"{explain_permission(error)} ({spec.name}_FILE={file})") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read from {spec.name}_FILE={file}: {error}") from None
    if not text:
        raise ValueError(f"is empty: the file {spec.name}_FILE={file} has no content")
    return text


def describe_settings(cls: type) -> str:
    """What a settings class reads, a line each, for `--help`."""
    lines = []
    for _, spec in iterate_specs(cls):
        default = "required" if spec.required else f"default: {spec.plain(spec.default)}"
        secret = f"; also {spec.name}_FILE" if spec.secret else ""
        lines.append(f"  {spec.name:<24} {spec.meaning} ({default}{secret})\n")
    lines.append(
        f"  {settings_file.NAME:<24} file with settings, NAME=VALUE on each line, for those that"
        " the environment does not set (default: -)\n"
    )
    return "".join(lines)


def format_settings(settings: Any) -> str:
    """The effective settings on one line, secrets starred."""
    return " ".join(
        f"{spec.name}={_show(spec, getattr(settings, field))}"
        for field, spec in iterate_specs(type(settings))
    )


def _show(spec: Spec, value: Any) -> str:
    if spec.secret and value:
        return spec.show(str(value)) if spec.show else "***"
    return spec.plain(value)


def star_url(url: str) -> str:
    """A URL with its user, password and query starred; any other text as it is."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    # Up to the last @: a password may hold / ? or #, which a parser would take for its end.
    _, at, rest = rest.rpartition("@")
    address, query, _ = rest.partition("?")
    return f"{scheme}://{'***@' if at else ''}{address}{'?***' if query else ''}"


# Parsers: each takes the text of a variable, and raises ValueError with the end of a sentence
# that begins with the variable's name.


def text(value: str) -> str:
    return value


def integer(low: int, high: int) -> Parser:
    def parse(value: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]+", value) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return parse


def number(low: float, high: float) -> Parser:
    def parse(value: str) -> float:
        plain = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", value)
        if plain is None or not low <= float(value) <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return float(value)

    return parse


def boolean(value: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "on": True}
    known |= {"0": False, "false": False, "no": False, "off": False}
    if value.lower() not in known:
        raise ValueError("must be 1 or 0")
    return known[value.lower()]


def choice(*options: str) -> Parser:
    def parse(value: str) -> str:
        if value not in options:
            raise ValueError(f"must be one of {', '.join(options)}")
        return value

    return parse


def host(value: str) -> str:
    """A host name or address: not what only a resolver would find out, after many tries."""
    if not re.fullmatch(
        r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", value
    ):
        raise ValueError("must be a host name or an address")
    return value


def topic(value: str) -> str:
    """A topic to publish on: MQTT 5, section 4.7; $ is for the broker's own."""
    if not re.fullmatch(r"[^+#/$\0][^+#\0]*", value) or len(value.encode()) > 200:
        raise ValueError(
            "must be a topic: no + or #, no / or $ at the start, and at most 200 bytes"
        )
    return value


def file(value: str) -> str:
    try:
        if not os.path.exists(value) or os.path.isfile(value):
            with open(value, "rb"):
                return value
    except PermissionError as error:
        raise ValueError(explain_permission(error)) from None
    except OSError:
        pass
    raise ValueError("must name a file that can be read")


def name(value: str) -> str:
    """A device's or camera's name: it becomes part of topics, keys and certificates."""
    if not NAME.fullmatch(value) or value == DOCTOR:
        raise ValueError(
            "must be 1 to 63 characters of a-z, 0-9 and -, begin with a letter or digit,"
            " and not be 'unknown', 'rejected' or 'doctor'"
        )
    return value
