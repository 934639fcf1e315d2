"""What a reader asks for, checked: which faces, in which order, from where on."""

from __future__ import annotations

import dataclasses
import datetime
import re
import urllib.parse
from collections.abc import Mapping

from starlette.exceptions import HTTPException

from gallery.index.query import FACE, REF, REJECTED, VISIT, Filter, Order

NAME = 200  # signs of a device's or camera's name, of which most have less than 64
CURSOR = 400
FIRST_YEAR, LAST_YEAR = 1900, 9000  # of a day that can be requested
KINDS = {FACE: "faces", REJECTED: "rejected"}
SHOTS = {"visit": "one per visit", "all": "every shot"}
ORDERS: dict[Order, str] = {"newest": "by time", "sharpest": "by sharpness"}


class Bad(HTTPException):
    """The request makes no sense; the sentence says why."""

    def __init__(self, sentence: str) -> None:
        super().__init__(400, sentence)


@dataclasses.dataclass(frozen=True)
class View:
    """The faces that a page shows. With a day: those up to its end, or to the end of its hour.

    `shots`: visit, for one of each visit; all; or empty, for what suits the faces. `visit`: the
    name of one, whose shots are all that is shown.
    """

    device: str = ""
    camera: str = ""
    kind: str = FACE
    order: Order = "newest"
    day: datetime.date | None = None
    hour: int | None = None
    shots: str = ""
    visit: str = ""

    def filter(self, place: datetime.tzinfo) -> Filter:
        until = None
        if self.day is not None:
            until = bounds(self.day, place)[1]
            if self.hour is not None and self.hour < 23:
                until = _ms(self.day, place, self.hour + 1)
        leads = self.shots == "visit" and self.can_stack
        number = visit(self.visit) if self.visit else None
        names = self.device or None, self.camera or None
        return Filter(self.kind, *names, None, until, visit=number, leads=leads)

    @property
    def can_stack(self) -> bool:
        """Whether it has visits of several shots that one of them can stand for."""
        return self.kind == FACE and not self.visit

    def query(self, **changes: object) -> str:
        """As in an address, defaults left out: `?device=door`, or nothing."""
        plain = View()
        fields = {**{field: getattr(self, field) for field in _FIELDS}, **changes}
        given = {
            name: str(value)
            for name, value in fields.items()
            if value is not None and value != getattr(plain, name, None)
        }
        return "?" + urllib.parse.urlencode(given) if given else ""


_FIELDS = tuple(field.name for field in dataclasses.fields(View))


def view(parameters: Mapping[str, str]) -> View:
    """The view of an address's query.

    Raises:
        Bad: a part of it is not what it can be.
    """
    kind, order = parameters.get("kind") or "face", parameters.get("order") or "newest"
    if kind not in KINDS:
        raise Bad("The kind must be face or rejected.")
    if order not in ORDERS:
        raise Bad("The order must be newest or sharpest.")
    names = [parameters.get(name, "").strip() for name in ("device", "camera")]
    if not all(is_name(name) for name in names):
        raise Bad("This name is too long for a device or camera.")
    day = _day(parameters.get("day", ""))
    hour = parameters.get("hour", "")
    if hour and not (day and re.fullmatch(r"[0-9]{1,2}", hour) and int(hour) < 24):
        raise Bad("The hour must be a number from 0 to 23, together with a day.")
    shots, of_visit = parameters.get("shots") or "", parameters.get("visit") or ""
    if shots and shots not in SHOTS:
        raise Bad("The shots must be visit or all.")
    if of_visit:
        visit(of_visit)
    device, camera = names
    at = int(hour) if hour else None
    return View(device, camera, kind, order, day, at, shots, of_visit)


def is_name(text: str) -> bool:
    """Half a pair of surrogates is part of nobody's name, and no database takes it."""
    return len(text) <= NAME and not any("\ud800" <= sign <= "\udfff" for sign in text)


def _day(text: str) -> datetime.date | None:
    if not text:
        return None
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError(text)
        day = datetime.date.fromisoformat(text)
    except ValueError:
        raise Bad("The day must have the form 2026-11-24.") from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise Bad("This day is out of range.")
    return day


def cursor(text: str | None) -> str | None:
    """Raises Bad for what cannot be one; the index judges the rest."""
    if text and (len(text) > CURSOR or not text.isprintable()):
        raise Bad("This position in the list is not valid.")
    return text or None


def count(text: str | None, most: int) -> int:
    """A small number; 1 if none is given. Raises Bad."""
    if not text:
        return 1
    if not re.fullmatch(r"[1-9][0-9]?", text) or int(text) > most:
        raise Bad(f"This must be a number from 1 to {most}.")
    return int(text)


def ref(text: str) -> str:
    """Raises Bad when it is not a face's name."""
    if not REF.fullmatch(text):
        raise Bad("A face's reference has 20 hex digits.")
    return text


def visit(text: str) -> int:
    """The number of a visit by its name. Raises Bad when it is not one."""
    if not VISIT.fullmatch(text):
        raise Bad("A visit's name has 16 hex digits.")
    return int(text, 16)


def bounds(day: datetime.date, place: datetime.tzinfo) -> tuple[int, int]:
    """Begin and end of a day in a time zone, unix milliseconds."""
    return _ms(day, place), _ms(day + datetime.timedelta(days=1), place)


def _ms(day: datetime.date, place: datetime.tzinfo, hour: int = 0) -> int:
    return (
        int(datetime.datetime(day.year, day.month, day.day, hour, tzinfo=place).timestamp()) * 1000
    )
