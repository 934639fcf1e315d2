"""Several cameras of one detector, from their clips to the bucket."""

from __future__ import annotations

from pathlib import Path

from testing.clips import clips
from testing.host.wait import until
from testing.mqtt.mosquitto import Mosquitto
from testing.services.detector import Tables, balance, books_of, serve_cameras
from testing.services.process import Service
from testing.store.nanio import Store


def test_the_faces_of_each_camera_are_in_the_bucket_under_its_name(
    tmp_path: Path, edge: Mosquitto, forwarder: Service, processor: Service, store: Store
) -> None:
    counts = {"front-door": 12, "yard": 7}
    tables: Tables = {
        name: {"source": clips.write(tmp_path / f"{name}.mp4", clips.faces(count))}
        for name, count in counts.items()
    }
    settings = {"DELIVERY": "receipt", "CAMERA_END": "idle"}
    with serve_cameras(edge, tmp_path, tables, **settings) as service:
        service.says("end of file(.|\n)*end of file", 60)
        for name, count in counts.items():
            books = books_of(service, name)
            assert balance(books)
            assert (books["captured"], books["confirmed"]) == (count, count)
            until(lambda name=name, count=count: len(store.objects(f"box-1/{name}/")) == count)  # type: ignore[misc]
    assert processor.running
    assert forwarder.running
