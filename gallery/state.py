"""All that the pages are made of."""

from __future__ import annotations

import dataclasses

from common.runtime.health import Health
from common.runtime.workers import Workers
from common.store.base import ObjectStore
from gallery.deletion.deletions import Deletions
from gallery.deletion.retention import Retention
from gallery.fleet import Fleet
from gallery.index.index import Index
from gallery.live import EventHub
from gallery.settings import GallerySettings
from gallery.store_health import StoreHealth
from gallery.sync.doctor_faces import DoctorFaces
from gallery.sync.listing import BucketListing
from gallery.sync.metadata import MetadataLoader
from gallery.thumbnails.thumbnails import Thumbnails


@dataclasses.dataclass(frozen=True)
class State:
    """`store` and `local` run what blocks: requests to the store, and what is on our own disk."""

    settings: GallerySettings
    health: Health
    store: Workers
    local: Workers
    index: Index
    bucket: ObjectStore
    hub: EventHub
    thumbs: Thumbnails
    facts: MetadataLoader
    standing: StoreHealth
    sync: BucketListing
    doctor_faces: DoctorFaces
    deletions: Deletions
    retention: Retention
    fleet: Fleet
