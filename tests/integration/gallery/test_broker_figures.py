"""The gallery tells how full the cloud broker is."""

from __future__ import annotations

import shutil
from pathlib import Path

from testing.host.wait import until
from testing.services.enrolment import Enrolment, running
from testing.services.gallery import Gallery
from testing.services.process import ROOT
from testing.store.nanio import Store

HEAP, RETAINED = "facepipe_broker_heap_bytes", "facepipe_broker_retained_messages"


def test_memory_and_retained_messages_are_in_its_metrics_once_it_may_read_them(
    tmp_path: Path, store: Store
) -> None:
    """A gallery that was enrolled before it had this right works without it."""
    before = ROOT / "tests" / "integration" / "enroll" / "before"
    shutil.copytree(before / "authority", tmp_path / "authority")
    shutil.copytree(before / "identities", tmp_path / "identities")
    enrolment = Enrolment(tmp_path)
    with running(enrolment) as cloud:
        bundle = enrolment.gallery / "gallery.pem"
        connection = {"MQTT_HOST": "localhost", "MQTT_PORT": cloud.inner_port}
        with Gallery(store, tmp_path / "data", MQTT_BUNDLE=bundle, **connection) as gallery:
            gallery.says("cloud broker .*: connected")
            assert gallery.metric(HEAP) == 0
            enrolment.run("renew")
            cloud.kill()  # a broker that runs keeps the rights of before
            cloud.start()
            until(lambda: gallery.metric(HEAP) > 10_000, 60)
            until(lambda: gallery.metric(RETAINED) > 10, 60)
