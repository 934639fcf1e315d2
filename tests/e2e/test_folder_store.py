"""A folder of the server in place of an object store, for processor and gallery."""

from __future__ import annotations

from pathlib import Path

from testing.host.wait import until
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.sender import Sender
from testing.pictures import png
from testing.services.process import Service
from testing.store.nanio import BUCKET, reached_at


def test_a_face_ends_as_a_file_with_its_metadata_beside_it(
    tmp_path: Path, cloud: Mosquitto
) -> None:
    root = tmp_path / "store"
    (root / BUCKET).mkdir(parents=True)
    settings = {**reached_at(f"file://{root}"), "MQTT_PORT": cloud.port}
    with Service("processor", **settings) as processor, Sender(cloud.port) as sender:
        processor.says("cloud broker .*: connected")
        receipt = sender.receipt(sender.send(png()))
        assert (root / BUCKET / receipt["key"]).read_bytes() == png()
        rejected = sender.receipt(sender.send(b"no picture"))
        assert (root / BUCKET / rejected["key"]).read_bytes() == b"no picture"


def test_a_disk_that_is_not_mounted_is_noticed_and_waited_for(
    tmp_path: Path, cloud: Mosquitto
) -> None:
    root = tmp_path / "store"
    bucket = root / BUCKET
    bucket.mkdir(parents=True)
    settings = {**reached_at(f"file://{root}"), "MQTT_PORT": cloud.port}
    with Service("processor", **settings) as processor, Sender(cloud.port) as sender:
        processor.says("cloud broker .*: connected")
        bucket.rename(root / "unmounted")
        id = sender.send(png())
        until(lambda: processor.health()["reasons"].get("bucket") == "no_bucket")
        assert not sender.receipts(id)
        (root / "unmounted").rename(bucket)
        assert sender.receipt(id)["outcome"] == "stored"
