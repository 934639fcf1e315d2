"""How long faces are kept: by days or hours, by the store's rule or by the gallery."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from testing.host.wait import until, until_equal
from testing.mqtt.mosquitto import Mosquitto
from testing.services.gallery import DELETED, Gallery
from testing.store.bucketful import fill, put
from testing.store.moto import Moto
from testing.store.nanio import Store


def test_after_retention_hours_everything_goes_rejected_objects_too(
    cloud: Mosquitto, store: Store, tmp_path: Path
) -> None:
    fill(store, 30)  # of last March
    put(store, f"rejected/box0000/bad_crc_{'a' * 32}", b"x", {})
    with Gallery(
        store, tmp_path / "gallery", MQTT_PORT=cloud.port, RETENTION_HOURS="0.5"
    ) as gallery:
        until(lambda: gallery.metric(DELETED, by="retention") == 31, what="all of it is deleted")
        assert b"0.5 hours" in gallery.admin().open("/")[1]
    assert store.objects() == {}
    assert store.objects("rejected/") == {}


def test_where_the_store_has_no_rules_the_gallery_sees_to_the_days_itself(
    cloud: Mosquitto, store: Store, tmp_path: Path
) -> None:
    fill(store, 30)
    settings = {"MQTT_PORT": cloud.port, "RETENTION_DAYS": 30}
    with Gallery(store, tmp_path / "gallery", **settings) as gallery:
        gallery.says(r"RETENTION_DAYS: .*\(unsupported\); the gallery deletes instead")
        until(
            lambda: gallery.metric(DELETED, by="retention") == 30, what="what is older is deleted"
        )
        assert store.objects() == {}
        assert "lifecycle" not in gallery.health()["reasons"]
        assert b"30 days" in gallery.admin().open("/")[1]


def days_of_rules(moto: Moto) -> list[int]:
    return [rule["Expiration"]["Days"] for rule in moto.rules()]


def test_the_rule_is_set_at_the_start_and_taken_away_when_it_is_no_longer_wanted(
    cloud: Mosquitto, tmp_path: Path
) -> None:
    with Moto() as moto:
        for days, rules in ((30, [30]), (7, [7]), (0, [])):
            with Gallery(
                moto, tmp_path / "gallery", MQTT_PORT=cloud.port, RETENTION_DAYS=days
            ) as gallery:
                until_equal(partial(days_of_rules, moto), rules, what="the days of the rules")
                gallery.says("listed")


def test_what_is_over_goes_though_the_index_has_no_room_for_it(
    cloud: Mosquitto, store: Store, tmp_path: Path
) -> None:
    fill(store, 2500)
    settings = {"MQTT_PORT": cloud.port, "RETENTION_HOURS": 1, "INDEX_MAX_FACES": 1000}
    with Gallery(store, tmp_path / "gallery", **settings) as gallery:
        until(lambda: gallery.metric(DELETED, by="retention") == 2500, 30, "all is deleted")
        assert store.objects() == {}
