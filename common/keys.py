"""Object keys: from the face alone, so that a face which comes twice is one object."""

from __future__ import annotations

import datetime
import re
import string

DEFAULT_TEMPLATE = "{device}/{camera}/{date}/face_{unix_ms}_{id}.png"
PROBE = ".facepipe/probe"
_FIELDS = ("device", "camera", "date", "hour", "unix_ms", "id")
_LATEST = 253_370_764_800.0  # the last year that a datetime has: as long as unix_ms gets
_LITERAL = re.compile(r"[A-Za-z0-9!_.'()=@,+/-]*")  # characters that need no care in S3 keys


def template(value: str) -> str:
    """Parse a KEY_TEMPLATE.

    Raises:
        ValueError: it has other fields, lacks the id, or could lead out of its place.
    """
    try:
        parts = list(string.Formatter().parse(value))
    except ValueError as error:
        raise ValueError(f"is not a template ({error})") from None
    fields = [field for _, field, _, _ in parts if field is not None]
    for literal, field, spec, conversion in parts:
        if not _LITERAL.fullmatch(literal):
            raise ValueError("may have letters, digits and !_.'()=@,+/- around its fields")
        if field is not None and (field not in _FIELDS or spec or conversion):
            raise ValueError(f"may have the fields {', '.join(_FIELDS)} only, without formats")
    if "id" not in fields:
        raise ValueError("must have {id}, or faces of one millisecond would replace each other")
    sample = key(value, dict.fromkeys(("device", "camera", "id"), "x" * 64), _LATEST)
    segments = sample.split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        raise ValueError("must not begin or end with /, nor have //, /./ or /../")
    if segments[0] in ("rejected", ".facepipe", ".nanio-meta"):
        raise ValueError(f"must not begin with {segments[0]}/, which is kept for other things")
    if len(sample) > 1024:
        raise ValueError("is too long: a key has 1024 bytes at most, its fields filled in")
    return value


def key(template: str, facts: dict[str, str], captured: float) -> str:
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


def rejected(device: str, reason: str, id: str) -> str:
    """The key under which what was not stored among the faces is kept."""
    return f"rejected/{device}/{reason}_{id}"
