"""Write the tables of docs/settings.md and docs/metrics.md from the code: `make docs`."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from common.service import ServiceSettings
from common.settings import Spec, specs

DOCS = Path(__file__).parent
SERVICES = ("detector", "forwarder", "processor", "gallery")
COMMANDS = ("enroll",)  # with settings, and without metrics
MARK = "<!-- the tables below are written by `make docs` -->"


def settings() -> str:
    """One table of what all services have, and one per service of what it has beside that."""
    shared = {spec.name: spec for _, spec in specs(ServiceSettings)}
    parts = []
    own: set[str] = set()
    for service in (*SERVICES, *COMMANDS):
        module = importlib.import_module(f"{service}.settings")
        service_settings = getattr(module, f"{service.title()}Settings")
        differing = [spec for _, spec in specs(service_settings) if spec != shared.get(spec.name)]
        own |= {spec.name for spec in differing if service == SERVICES[0]}
        parts += [f"\n## {service}\n", *_rows(differing)]
    common = [spec for name, spec in shared.items() if name not in own]
    return "\n".join(["## All services\n", *_rows(common), *parts]) + "\n"


def _rows(several: Iterable[Spec]) -> Iterator[str]:
    yield "| variable | default | meaning |"
    yield "|---|---|---|"
    for spec in several:
        secret = " Secret; also as a file, by " + f"`{spec.name}_FILE`." if spec.secret else ""
        yield f"| `{spec.name}` | {_default(spec)} | {spec.meaning}.{secret} |"


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


def page(name: str, tables: str) -> str:
    """The page with its tables replaced; what stands above the mark is kept."""
    head, mark, _ = (DOCS / name).read_text().partition(MARK)
    return f"{head}{mark}\n\n{tables}"


PAGES = {"settings.md": settings, "metrics.md": metrics}

if __name__ == "__main__":
    for name, tables in PAGES.items():
        (DOCS / name).write_text(page(name, tables()))
