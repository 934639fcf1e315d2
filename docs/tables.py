"""Write the tables of settings, metrics and messages into docs/ from the code: `make docs`."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from common.protocol import face, receipt, status, stored
from common.protocol.fields import descriptions
from common.service_settings import ServiceSettings
from common.settings import Spec, iterate_specs
from detector.camera_settings import iterate_keys

DOCS = Path(__file__).parent
SERVICES = ("detector", "forwarder", "processor", "gallery")
COMMANDS = ("enroll",)  # with settings, and without metrics
MARK = "<!-- the tables below are written by `make docs` -->"
TABLE = re.compile(
    r"(<!-- table (\w+), written by `make docs` -->\n).*?(<!-- end of table -->)", re.DOTALL
)


def settings() -> str:
    """One table of what all services have, and one per service of what it has beside that."""
    shared = {spec.name: spec for _, spec in iterate_specs(ServiceSettings)}
    parts = []
    own: set[str] = set()
    for service in (*SERVICES, *COMMANDS):
        module = importlib.import_module(f"{service}.settings")
        service_settings = getattr(module, f"{service.title()}Settings")
        differing = [
            spec for _, spec in iterate_specs(service_settings) if spec != shared.get(spec.name)
        ]
        own |= {spec.name for spec in differing if service == SERVICES[0]}
        parts += [f"\n## {service}\n", *_rows(differing)]
        if service == "detector":
            parts += ["\n### Keys of a camera in the file of `CAMERAS`\n", *_key_rows()]
    common = [spec for name, spec in shared.items() if name not in own]
    return "\n".join(["## All services\n", *_rows(common), *parts]) + "\n"


def _rows(several: Iterable[Spec]) -> Iterator[str]:
    yield "| variable | default | meaning |"
    yield "|---|---|---|"
    for spec in several:
        secret = " Secret; also as a file, by " + f"`{spec.name}_FILE`." if spec.secret else ""
        yield f"| `{spec.name}` | {_default(spec)} | {spec.meaning}.{secret} |"


def _key_rows() -> Iterator[str]:
    yield "| key | variable | key for a file that holds the value |"
    yield "|---|---|---|"
    for key, _, spec in iterate_keys():
        secret = f"`{key}_file`" if spec.secret else "-"
        yield f"| `{key}` | `{spec.name}` | {secret} |"


def _default(spec: Spec) -> str:
    if spec.required:
        return "required"
    if spec.name in ("DEVICE", "INSTANCE") and spec.default != "cloud":
        return "the host's name"
    if spec.name == "OUTBOX_PATH":
        return "`~/.local/state/facepipe`"
    if spec.name == "GALLERY_DATA":
        return "`~/.local/state/facepipe-gallery`"
    plain = spec.plain(spec.default)
    return plain if plain == "-" else f"`{plain}`"


def metrics() -> str:
    """One table of what all services have, and one per service."""
    parts = []
    for name in ("common", *SERVICES):
        module = importlib.import_module(f"{name}.metrics")
        title = "All services" if name == "common" else name
        parts += [f"\n## {title}\n", "| metric | kind | meaning |", "|---|---|---|"]
        families = [f for metric in vars(module).values() for f in _families(metric)]
        for family in sorted(families, key=lambda family: family.name):
            suffix = "_total" if family.type == "counter" else ""
            parts.append(f"| `{family.name}{suffix}` | {family.type} | {family.documentation} |")
    return "\n".join(parts).lstrip() + "\n"


def _families(value: Any) -> list[Metric]:
    """What a metric of a module collects; nothing of whatever else stands there."""
    other = isinstance(value, (type, CollectorRegistry)) or not hasattr(value, "collect")
    return [] if other else list(value.collect())


def message(kind: type) -> str:
    """The table of a message's fields."""
    rows = [f"| `{name}` | {meaning} |" for name, meaning in descriptions(kind).items()]
    return "\n".join(["| field | meaning |", "|---|---|", *rows]) + "\n"


def face_properties() -> str:
    rows = [f"| `{name}` | {known.meaning} |" for name, known in face.PROPERTIES.items()]
    return "\n".join(["| property | meaning |", "|---|---|", *rows]) + "\n"


def status_figures() -> str:
    rows = [f"| `{name}` | {f.services} | {f.meaning} |" for name, f in status.FIGURES.items()]
    return "\n".join(["| figure | of | meaning |", "|---|---|---|", *rows]) + "\n"


MESSAGES: dict[str, Callable[[], str]] = {
    "face": face_properties,
    "receipt": partial(message, receipt.Receipt),
    "stored": partial(message, stored.Stored),
    "status": partial(message, status.Status),
    "figures": status_figures,
}


def protocol(text: str) -> str:
    """The page of the protocol with each of its tables replaced."""
    return TABLE.sub(lambda found: f"{found[1]}{MESSAGES[found[2]]()}{found[3]}", text)


def below_mark(tables: Callable[[], str], text: str) -> str:
    """A page with all below its mark replaced by the tables."""
    head, mark, _ = text.partition(MARK)
    return f"{head}{mark}\n\n{tables()}"


PAGES: dict[str, Callable[[str], str]] = {
    "settings.md": partial(below_mark, settings),
    "metrics.md": partial(below_mark, metrics),
    "protocol.md": protocol,
}

if __name__ == "__main__":
    for name, write in PAGES.items():
        path = DOCS / name
        path.write_text(write(path.read_text()))
