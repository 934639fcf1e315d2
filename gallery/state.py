"""All that the pages are made of."""

from __future__ import annotations

import dataclasses

from common.health import Health
from common.workers import Workers
from gallery.bucket import Bucket
from gallery.deletions import Deletions
from gallery.facts import Facts
from gallery.fleet import Fleet
from gallery.index import Index
from gallery.live import Hub
from gallery.retention import Retention
from gallery.settings import Settings
from gallery.standing import Standing
from gallery.sync import Sync
from gallery.thumbs import Thumbs


@dataclasses.dataclass(frozen=True)
class State:
    """`store` and `local` run what blocks: requests to the store, and what is on our own disk."""

    settings: Settings
    health: Health
    store: Workers
    local: Workers
    index: Index
    bucket: Bucket
    hub: Hub
    thumbs: Thumbs
    facts: Facts
    standing: Standing
    sync: Sync
    deletions: Deletions
    retention: Retention
    fleet: Fleet
