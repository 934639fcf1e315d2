"""Object keys: derived from the face alone, so that a face that arrives twice is one object."""

from __future__ import annotations

import dataclasses
import datetime
import re
import string
from collections.abc import Callable

DEFAULT_TEMPLATE = "{device}/{camera}/{date}/face_{unix_ms}_{id}.png"
OWN = ".facepipe/"  # for objects that are not faces
REJECTED = "rejected/"
PROBE = f"{OWN}probe"
_FIELDS = ("device", "camera", "date", "hour", "unix_ms", "id")
_LATEST = 253_370_764_800.0  # the last year that a datetime has: as long as unix_ms gets
_LITERAL = re.compile(r"[A-Za-z0-9!_.'()=@,+/-]*")  # characters that need no care in S3 keys


def parse_template(value: str) -> str:
    """Parse a KEY_TEMPLATE.

    Raises:
        ValueError: it has unknown fields, lacks {id} or {device}, or is not a safe path.
    """
    try:
        parts = list(string.Formatter().parse(value))
    except ValueError as error:
        raise ValueError(f"is not a template ({error})") from None
    fields = [field for _, field, _, _ in parts if field is not None]
    for literal, field, spec, conversion in parts:
        if not _LITERAL.fullmatch(literal):
            raise ValueError("may contain only letters, digits and !_.'()=@,+/- around its fields")
        if field is not None and (field not in _FIELDS or spec or conversion):
            raise ValueError(f"may have the fields {', '.join(_FIELDS)} only, without formats")
    if "id" not in fields:
        raise ValueError(
            "must have {id}, or faces of the same millisecond would replace each other"
        )
    sample = format_key(value, dict.fromkeys(("device", "camera", "id"), "x" * 64), _LATEST)
    segments = sample.split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        raise ValueError("must not begin or end with /, nor have //, /./ or /../")
    if segments[0] in (REJECTED.strip("/"), OWN.strip("/"), ".nanio-meta"):
        raise ValueError(f"must not begin with {segments[0]}/, which is reserved")
    if len(sample) > 1024:
        raise ValueError(
            "is too long: with its fields filled in, a key may have at most 1024 bytes"
        )
    if "{device}" not in value.split("/"):
        raise ValueError(
            "must have {device} between slashes, or one device could replace the faces of another"
        )
    return value


def format_key(template: str, facts: dict[str, str], captured: float) -> str:
    """The key of a face with these facts (device, camera, id), captured so (seconds since 1970)."""
    moment = datetime.datetime.fromtimestamp(captured, datetime.UTC)
    return template.format(
        device=facts["device"],
        camera=facts["camera"],
        id=facts["id"],
        date=moment.strftime("%Y-%m-%d"),
        hour=moment.strftime("%H"),
        unix_ms=round(captured * 1000),
    )


def rejected_key(device: str, reason: str, id: str) -> str:
    """The key of a rejected object."""
    return f"{REJECTED}{device}/{reason}_{id}"


@dataclasses.dataclass(frozen=True)
class KeyFacts:
    """What a key says about its object; `captured` in unix milliseconds, None if unknown."""

    device: str
    camera: str
    id: str
    captured: int | None
    reason: str = ""  # why it was rejected


_NAME = r"[a-z0-9][a-z0-9-]{0,62}"
_ID = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_PATTERNS = {
    "device": _NAME,
    "camera": _NAME,
    "date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "hour": r"[0-9]{2}",
    "unix_ms": r"[0-9]{1,15}",
    "id": _ID,
}
_REJECTED = re.compile(rf"{REJECTED}(?P<device>{_NAME})/(?P<reason>[a-z_]+)_(?P<id>{_ID})")


def create_key_reader(template: str) -> Callable[[str], KeyFacts | None]:
    """A function that reads the facts from keys of a (valid) template or of rejected objects."""
    pattern, seen = "", set()
    for literal, field, _, _ in string.Formatter().parse(template):
        pattern += re.escape(literal)
        if field is not None:
            pattern += f"(?P={field})" if field in seen else f"(?P<{field}>{_PATTERNS[field]})"
            seen.add(field)
    faces = re.compile(pattern)

    def read(key: str) -> KeyFacts | None:
        found = _REJECTED.fullmatch(key) if key.startswith(REJECTED) else faces.fullmatch(key)
        if found is None:
            return None
        fields = found.groupdict()
        return KeyFacts(
            fields.get("device", "unknown"),
            fields.get("camera", "unknown"),
            fields["id"],
            _milliseconds(fields),
            fields.get("reason", ""),
        )

    return read


def _milliseconds(fields: dict[str, str]) -> int | None:
    """Time of capture by `unix_ms`, or by a UUID version 7 as id (RFC 9562, section 5.7)."""
    if "unix_ms" in fields:
        return int(fields["unix_ms"])
    if re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", fields["id"]):
        return int(fields["id"][:12], 16)
    return None
