"""The processor's settings, beside those that all services have."""

from __future__ import annotations

import dataclasses

from common.service_settings import HOST, http_port
from common.settings import integer, name, setting
from common.store.store_settings import StoreSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProcessorSettings(StoreSettings):
    http_port: int = http_port(9103)
    device: str = setting("DEVICE", name, "name of this server in its status", default="cloud")
    instance: str = setting("INSTANCE", name, "name of this replica in its status", default=HOST)
    uploads: int = setting("UPLOADS", integer(1, 256), "concurrent PUT requests", default=16)
    hand_max_mb: int = setting(
        "HAND_MAX_MB",
        integer(1, 4096),
        "megabytes of faces in progress; more are refused and counted",
        default=12,
    )
