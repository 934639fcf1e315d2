"""A face on camera is an object in the bucket."""

from __future__ import annotations

import subprocess
from pathlib import Path

from testing.host.wait import until_equal
from testing.mqtt.mosquitto import Mosquitto
from testing.pictures import png
from testing.services.process import Service
from testing.store.nanio import Store


def mosquitto_pub(port: int, file: Path) -> None:
    command = ["mosquitto_pub", "-V", "311", "-p", str(port), "-t", "faces", "-f", str(file)]
    subprocess.run(command, check=True, timeout=10)


def test_a_plain_png_at_either_broker_ends_as_an_object(
    tmp_path: Path,
    edge: Mosquitto,
    cloud: Mosquitto,
    store: Store,
    processor: Service,
    forwarder: Service,
) -> None:
    # Two pictures: without an id they are told apart by their bytes, and one in hand is not
    # taken twice.
    for count, broker in enumerate((edge, cloud), 1):
        face = tmp_path / f"face-{count}.png"
        face.write_bytes(png(seed=count))
        mosquitto_pub(broker.port, face)
        until_equal(lambda: len(store.objects()), count)
    assert set(store.objects().values()) == {png(seed=1), png(seed=2)}
    assert all(key.startswith("unknown/unknown/") for key in store.objects())
