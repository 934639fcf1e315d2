"""The gallery's settings, beside those that all services have."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
from collections.abc import Iterator
from pathlib import Path

from common.http.exposure import PageSettings
from common.protocol.keys import DEFAULT_TEMPLATE
from common.service_settings import HOST, http_port
from common.settings import integer, name, number, setting, text
from common.store.store_settings import StoreSettings
from gallery.auth.users import Users, parse


def _networks(value: str) -> str:
    """Addresses and networks, with commas between them."""
    found = [part.strip() for part in value.split(",")]
    try:
        for part in found:
            ipaddress.ip_network(part)
    except ValueError as error:
        raise ValueError(f"must be addresses or networks, separated by commas: {error}") from None
    return ",".join(found)


def _path(value: str) -> str:
    """A path without a slash at its end; nothing for the root."""
    if not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?", value):
        raise ValueError("must be a path such as /faces, of letters, digits and ._~-")
    return value.rstrip("/")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GallerySettings(StoreSettings, PageSettings):
    http_port: int = http_port(9104, "the pages")
    device: str = setting("DEVICE", name, "name of this server in its status", default="cloud")
    instance: str = setting("INSTANCE", name, "name of this gallery in its status", default=HOST)
    metrics_port: int = setting(
        "METRICS_PORT",
        integer(0, 65535),
        "port for /healthz and /metrics, which need no password; 0 picks a free one",
        default=9114,
    )
    path: str = setting(
        "HTTP_PATH",
        _path,
        "path below which a reverse proxy serves the pages, such as /faces",
        default="",
    )
    trusted_proxy: str = setting(
        "HTTP_TRUSTED_PROXY",
        _networks,
        "addresses or networks of reverse proxies, separated by commas; they are trusted to say who"
        " the client is (X-Forwarded-For) and whether it uses TLS (X-Forwarded-Proto)",
        default="",
    )
    users: Users | None = setting(  # noqa: RUF009 - it makes a field
        "GALLERY_USERS",
        parse,
        "file of users, one name:role:hash per line; create one with python -m gallery --add-user",
        default=None,
        secret=True,
    )
    data: str = setting(
        "GALLERY_DATA",
        text,
        "folder for the index and thumbnails, which can be deleted at any time",
        default=os.path.join(
            os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"),
            "facepipe-gallery",
        ),
    )
    index_max_faces: int = setting(
        "INDEX_MAX_FACES",
        integer(1000, 100_000_000),
        "how many of the newest faces the index holds; 1,000,000 take about 300 MB on disk",
        default=10_000_000,
    )
    thumbs_max_mb: int = setting(
        "THUMBS_MAX_MB", integer(1, 1_000_000), "megabytes of thumbnails kept on disk", default=500
    )
    sync_hours: float = setting(
        "SYNC_HOURS",
        number(0, 1000),
        "hours between two listings of the whole bucket, at one request per 1,000 objects; 0 means"
        " 24 with the default KEY_TEMPLATE, when the last two days are also listed every hour, and"
        " 6 with any other",
        default=0.0,
    )
    downloads: int = setting(
        "DOWNLOADS", integer(1, 64), "concurrent requests to the store", default=8
    )
    retention_days: int = setting(
        "RETENTION_DAYS",
        integer(0, 36500),
        "days after which a lifecycle rule of the bucket deletes objects; 0: no rule",
        default=0,
    )
    retention_hours: float = setting(
        "RETENTION_HOURS",
        number(0, 876_000),
        "hours after which the gallery itself deletes objects; 0: never",
        default=0.0,
    )

    @property
    def folder(self) -> Path:
        return Path(self.data)

    @property
    def sync_seconds(self) -> float:
        """Between two listings of the whole bucket."""
        usual = 24 if self.key_template == DEFAULT_TEMPLATE else 6
        return 3600 * (self.sync_hours or usual)

    @property
    def health_port(self) -> tuple[str, int]:
        return "METRICS_PORT", self.metrics_port

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from self.publication.problems(f"HTTP_HOST={self.http_host}", "faces")
        if self.metrics_port and self.metrics_port == self.http_port:
            yield "METRICS_PORT must differ from HTTP_PORT"
