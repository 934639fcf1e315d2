"""What thumbnails of large pictures cost."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from testing.host.memory import GIVEN_BACK, peak, resident
from testing.mqtt.mosquitto import Mosquitto
from testing.services.gallery import Gallery
from testing.store.bucketful import put
from testing.store.nanio import Store


def test_many_large_pictures_at_once_take_the_memory_of_one(
    cloud: Mosquitto, store: Store, tmp_path: Path
) -> None:
    """12 million pixels with four channels take 48 MB; eight at once would take 400."""
    out = io.BytesIO()
    Image.effect_noise((64, 64), 90).convert("RGBA").resize((3400, 3400)).save(out, "PNG")
    for number in range(8):
        put(store, f"large-{number}.png", out.getvalue())
    settings = {"MQTT_PORT": cloud.port, **GIVEN_BACK}
    with Gallery(store, tmp_path / "gallery", **settings) as gallery:
        gallery.says("listed 8 objects")
        admin = gallery.admin()
        before = resident(gallery.pid)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda ref: admin.open(f"/thumb/{ref}"), admin.faces()))
        assert [status for status, _ in answers] == [200] * 8
        assert len({body for _, body in answers}) == 1
        assert answers[0][1].startswith(b"RIFF")
        assert peak(gallery.pid) - before < 2 * 48_000 * 1024
