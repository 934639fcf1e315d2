"""How long the bucket keeps faces: our own rule, among those of the operator."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.settings import read
from common.store.base import ObjectStore
from common.store.registry import create
from common.store.s3.lifecycle import days_of_our_rule, with_our_rule
from gallery.settings import GallerySettings
from testing.store.moto import Moto
from testing.store.nanio import Store

# What the operator has: one in words that the IBM SDK does not know, one in the old form.
THEIRS: tuple[dict[str, Any], ...] = (
    {
        "ID": "old-versions",
        "Status": "Enabled",
        "Filter": {"Prefix": "a/"},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 3},
        "NoncurrentVersionTransitions": [{"NoncurrentDays": 1, "StorageClass": "GLACIER"}],
    },
    {"ID": "by prefix", "Status": "Disabled", "Prefix": "b/", "Expiration": {"Days": 7}},
)


@pytest.fixture(scope="module")
def server() -> Iterator[Moto]:
    with Moto() as moto:
        yield moto


@pytest.fixture
def moto(server: Moto) -> Moto:
    server.client.delete_bucket_lifecycle(Bucket="faces")
    return server


def bucket(settings: dict[str, str], folder: Path) -> ObjectStore:
    values = read(GallerySettings, {**settings, "GALLERY_DATA": str(folder)})
    return create(values.store_options(4))


def ours(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [rule for rule in rules if rule["ID"] == "facepipe-retention"]


def test_the_rule_is_for_all_objects_and_says_the_days(moto: Moto, tmp_path: Path) -> None:
    assert bucket(moto.settings, tmp_path).expire_after(30)
    [rule] = moto.rules()
    assert rule["Expiration"] == {"Days": 30}
    assert rule["Filter"] == {"Prefix": ""}
    assert rule["Status"] == "Enabled"


def test_the_operators_rules_stay_as_they_are(moto: Moto, tmp_path: Path) -> None:
    moto.set_rules(*THEIRS)
    before = moto.rules()
    store = bucket(moto.settings, tmp_path)
    for days in (30, 5):
        assert store.expire_after(days)
        rules = moto.rules()
        assert [rule for rule in rules if rule not in ours(rules)] == before
        assert [rule["Expiration"]["Days"] for rule in ours(rules)] == [days]
    assert store.expire_after(0)
    assert moto.rules() == before


def test_a_rule_that_is_as_it_should_be_is_not_written_again(moto: Moto, tmp_path: Path) -> None:
    store = bucket(moto.settings, tmp_path)
    assert store.expire_after(30)
    written = moto.log.count("PUT /faces?lifecycle")
    assert written
    assert store.expire_after(30)
    assert moto.log.count("PUT /faces?lifecycle") == written


def test_a_rule_that_somebody_turned_off_is_turned_on_again(moto: Moto, tmp_path: Path) -> None:
    store = bucket(moto.settings, tmp_path)
    assert store.expire_after(30)
    [rule] = moto.rules()
    moto.set_rules({**rule, "Status": "Disabled"})
    assert store.expire_after(30)
    assert ours(moto.rules())[0]["Status"] == "Enabled"


def test_without_a_rule_there_is_nothing_to_take_away(moto: Moto, tmp_path: Path) -> None:
    assert bucket(moto.settings, tmp_path).expire_after(0)
    assert moto.rules() == []


def test_the_last_rule_is_taken_away_with_the_configuration(moto: Moto, tmp_path: Path) -> None:
    store = bucket(moto.settings, tmp_path)
    assert store.expire_after(30)
    assert store.expire_after(0)
    assert moto.rules() == []


def test_a_store_that_says_yes_and_has_no_rules_is_found_out(store: Store, tmp_path: Path) -> None:
    ours = bucket(store.settings, tmp_path)
    assert not ours.expire_after(30)
    assert ours.expire_after(0)


def test_what_cannot_be_read_is_not_written_over(store: Store, tmp_path: Path) -> None:
    """It answers a question for its lifecycle with a listing, as some do."""
    assert not bucket(store.settings, tmp_path).expire_after(30)
    assert "PUT" not in store.log


def test_rules_without_a_namespace_stay_too() -> None:
    theirs = (
        b"<LifecycleConfiguration><Rule><ID>theirs</ID><Odd>1</Odd></Rule></LifecycleConfiguration>"
    )
    rules = ET.fromstring(theirs)
    assert days_of_our_rule(rules) is None
    written = ET.tostring(with_our_rule(rules, 30))
    assert b"<Rule><ID>theirs</ID><Odd>1</Odd></Rule><Rule><ID>facepipe-retention</ID>" in written
    assert days_of_our_rule(ET.fromstring(written)) == 30
    assert ET.tostring(with_our_rule(ET.fromstring(written), 0)) == theirs
