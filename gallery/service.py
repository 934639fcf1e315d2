"""The gallery's loop: hear of what is stored, keep the index in step, and serve the pages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sqlite3
from functools import partial

from prometheus_client import Gauge

from common.mqtt import Ack, Client, Message, Presence
from common.protocol import keys
from common.protocol.topics import Topics
from common.runtime.workers import Workers
from common.service import Service
from common.settings import SettingsError
from common.store.base import FOR_A_PERSON, ObjectStore, Observer, StoreError
from common.store.registry import create
from gallery import app, metrics, server
from gallery.deletion import records
from gallery.deletion.deletions import Deletions
from gallery.deletion.retention import Retention
from gallery.fleet import Fleet
from gallery.index.index import Index
from gallery.live import EventHub
from gallery.settings import GallerySettings
from gallery.state import State
from gallery.store_health import StoreHealth
from gallery.sync.announcements import Announcements
from gallery.sync.doctor_faces import DoctorFaces
from gallery.sync.listing import BucketListing, ListingHooks, ListingOptions
from gallery.sync.metadata import MetadataLoader
from gallery.thumbnails.thumbnails import Thumbnails

log = logging.getLogger(__name__)

LOCAL_WORKERS = 3  # for what is on our own disk
BROKER_FIGURES = {
    "$SYS/broker/heap/current": metrics.BROKER_HEAP,
    "$SYS/broker/retained messages/count": metrics.BROKER_RETAINED,
}


def _create_state(settings: GallerySettings, service: Service) -> State:
    """Every part, none of them at work yet.

    Raises:
        SettingsError: GALLERY_DATA cannot be written to.
    """
    store, local = Workers("store", settings.downloads), Workers("local", LOCAL_WORKERS)
    bucket, hub = _open_store(settings), EventHub()
    standing = StoreHealth(bucket, store, hub, service.health)
    try:
        index = Index(settings.folder / "index.db", settings.index_max_faces)
        thumbs_folder = settings.folder / "thumbs"
        thumbs = Thumbnails(thumbs_folder, settings.thumbs_max_mb * 1_000_000, bucket, index, store)
        fleet = Fleet(settings.folder, settings.mqtt_topic, hub, _own_topic(settings))
    except (OSError, StoreError, sqlite3.Error) as error:
        raise SettingsError([f"GALLERY_DATA={settings.data} cannot be used: {error}"]) from None
    deletions = Deletions(index, bucket, thumbs, store, hub, standing)
    facts = MetadataLoader(index, bucket, thumbs, store, local, standing, deletions.forget)
    days, hours = settings.retention_days, settings.retention_hours
    retention = Retention(days, hours, index, bucket, deletions, store, standing, service.health)
    read = keys.create_key_reader(settings.key_template)
    doctor_faces = DoctorFaces(bucket, store)

    def listed() -> None:
        facts.news()
        retention.news()
        deletions.listed()

    hooks = ListingHooks(
        before=partial(records.take_up, bucket, index),
        prune=thumbs.prune,
        is_over=retention.is_over,
        deleted_before=deletions.again,
        vanished=deletions.vanished,
        tested=doctor_faces.take,
        listed=listed,
    )
    options = ListingOptions(
        every=settings.sync_seconds,
        by_camera=settings.key_template == keys.DEFAULT_TEMPLATE,
        parallel=max(1, settings.downloads // 2),
    )
    sync = BucketListing(index, bucket, store, hub, standing, read, options, hooks)
    standing.on_index_trouble.append(sync.at_once)
    return State(
        settings=settings,
        health=service.health,
        store=store,
        local=local,
        index=index,
        bucket=bucket,
        hub=hub,
        thumbs=thumbs,
        facts=facts,
        standing=standing,
        sync=sync,
        doctor_faces=doctor_faces,
        deletions=deletions,
        retention=retention,
        fleet=fleet,
    )


def _open_store(settings: GallerySettings) -> ObjectStore:
    observer = Observer(
        lambda kind: metrics.REQUESTS.labels(kind).inc(),
        lambda reason: metrics.FAILURES.labels(reason).inc(),
    )
    return create(settings.store_options(settings.downloads + 2), observer)


def _own_topic(settings: GallerySettings) -> str:
    return Topics(settings.mqtt_topic).status(settings.device, "gallery", settings.instance)


async def _check_store(state: State) -> None:
    """Ask the store once: what only a person can mend ends the gallery, else it goes on without.

    Raises:
        SettingsError: wrong credentials, or no such bucket.
    """
    try:
        await state.store.run(state.bucket.check)
    except StoreError as error:
        if error.reason in FOR_A_PERSON:
            raise SettingsError([str(error)]) from None
        state.standing.failed(error)


def _set_figure(gauge: Gauge, payload: bytes) -> None:
    with contextlib.suppress(ValueError):
        gauge.set(int(payload))


def _subscribe(state: State, link: Client) -> Announcements:
    """What comes off the broker goes to whom it is for."""
    settings = state.settings
    arrivals = Announcements(
        state.index,
        state.local,
        state.hub,
        keys.create_key_reader(settings.key_template),
        deleted_before=state.deletions.again,
        missed=state.sync.soon,
        failed=state.standing.failed,
        news=state.facts.news,
        tested=state.doctor_faces.take,
    )
    stored = f"{settings.mqtt_topic}/stored"

    def take(message: Message, ack: Ack) -> None:
        if message.topic == stored:
            arrivals.take(bytes(message.payload))
        elif message.topic in BROKER_FIGURES:
            _set_figure(BROKER_FIGURES[message.topic], bytes(message.payload))
        else:
            state.fleet.take(message.topic, bytes(message.payload))
        ack()

    link.on_message = take
    link.subscribe_to(stored, retained=False)
    link.subscribe_to(f"{settings.mqtt_topic}/status/#")
    # Only an installation with identities is known to run Mosquitto. Other brokers may close the
    # connection over such a subscription, as the demo's does.
    for topic in BROKER_FIGURES if link.broker.tls else ():
        link.subscribe_to(topic, optional=True)  # denied until `enroll` has run once
    link.on_up.append(state.fleet.connected)
    link.on_down.append(state.fleet.disconnected)
    link.on_up.append(state.sync.connected)
    return arrivals


def _address(settings: GallerySettings, sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    scheme = "https" if settings.http_cert else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{settings.path}/"


async def run(settings: GallerySettings, service: Service) -> int:
    """Serve the gallery until a signal stops it."""
    state = await Workers("open").run(_create_state, settings, service)
    await _check_store(state)
    link = Client(settings.broker("cloud"), f"gallery-{os.urandom(4).hex()}", service.health)
    arrivals = _subscribe(state, link)
    own_status = Presence(link, _own_topic(settings), service.health)
    metrics.FLEET.look = state.fleet.figures_source(asyncio.get_running_loop())
    sock = server.open_socket(settings)
    pages = server.create_server(
        app.create_app(state), settings.publication.context(), settings.trusted_proxy
    )
    log.info("the gallery is on %s", _address(settings, sock))
    for work, name in (
        (link.keep_up(), "broker"),
        (own_status.keep_publishing(), "status"),
        (arrivals.keep_up(), "arrivals"),
        (state.sync.keep_up(), "sync"),
        (state.standing.keep_looking(), "standing"),
        (state.doctor_faces.keep_removing(), "doctor"),
        (state.facts.keep_filling(), "facts"),
        (state.facts.keep_warm(), "thumbnails"),
        (state.deletions.keep_working(), "deletions"),
        (state.deletions.keep_clean(), "clean"),
        (state.retention.keep_rule(), "lifecycle"),
        (state.retention.keep_sweeping(), "sweeper"),
        (state.fleet.keep_telling(), "fleet"),
        (state.fleet.keep_sampling(), "samples"),
    ):
        service.spawn(work, name)
    serving = asyncio.create_task(pages.serve(sockets=[sock]))
    await service.until_stopped(serving)
    pages.should_exit = True
    await asyncio.wait([serving])
    own_status.clear()
    await link.leave()
    return 0
