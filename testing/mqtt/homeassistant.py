"""A Home Assistant as far as MQTT goes: it discovers, checks, subscribes and renders.

What it takes is what https://www.home-assistant.io/integrations/mqtt/ and the pages of the three
platforms say. It is stricter where a payload would be let pass with a warning in the log.
"""

from __future__ import annotations

import json
import re
from typing import Any

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from testing.host.wait import until
from testing.mqtt.client import Mqtt
from testing.mqtt.received import Received

BIRTH = "homeassistant/status"
# With a node id, Home Assistant 2025.1 does not remove what it has found: none here.
CONFIG = re.compile(r"homeassistant/device/[a-zA-Z0-9_-]+/config")

# One unknown word at the root, in `device` or in `origin`, and all of the message is refused.
ROOT = {"device", "origin", "components"}
DEVICE = {"identifiers", "name", "manufacturer", "model", "sw_version"}
ORIGIN = {"name", "sw_version", "support_url"}
ENTITY = {"platform", "unique_id", "name", "entity_category", "availability_topic"}
ENTITY |= {
    "availability",
    "availability_mode",
    "availability_template",
    "json_attributes_topic",
    "json_attributes_template",
}
PLATFORMS = {
    "image": ENTITY | {"image_topic", "content_type"},
    "sensor": ENTITY
    | {"state_topic", "value_template", "expire_after", "device_class"}
    | {"state_class", "unit_of_measurement"},
    "binary_sensor": ENTITY | {"state_topic", "value_template", "expire_after", "device_class"},
}
REQUIRED = {"image": {"image_topic"}, "sensor": {"state_topic"}, "binary_sensor": {"state_topic"}}
CLASSES = {"sensor": {"timestamp"}, "binary_sensor": {"problem", "connectivity"}}
TEMPLATES = ImmutableSandboxedEnvironment(undefined=StrictUndefined)


def check(config: dict[str, Any]) -> None:
    """As the documentation says, for as much of it as we use."""
    assert {*config} == ROOT
    assert {*config["device"]} <= DEVICE
    assert config["device"]["identifiers"]
    assert {"name"} <= {*config["origin"]} <= ORIGIN
    assert config["components"]
    ids = [component["unique_id"] for component in config["components"].values()]
    assert len({*ids}) == len(ids)
    for component in config["components"].values():
        _check_component(component)


def _check_component(component: dict[str, Any]) -> None:
    platform = component["platform"]
    assert {*component} <= PLATFORMS[platform], component
    assert {*component} >= REQUIRED[platform] | {"name", "unique_id"}, component
    kind = component.get("device_class")
    assert kind is None or kind in CLASSES[platform]
    assert component.get("entity_category") in (None, "diagnostic")
    assert component.get("state_class") in (None, "measurement", "total_increasing")
    if kind == "timestamp":  # it has neither
        assert not {"state_class", "unit_of_measurement"} & {*component}
    for name, text in component.items():
        if name.endswith("_template"):
            TEMPLATES.from_string(text)


def rendered(template: str, payload: bytes) -> str:
    """`value_json` is there if the payload is JSON."""
    variables: dict[str, Any] = {"value": payload.decode()}
    if payload:
        variables["value_json"] = json.loads(payload)
    return TEMPLATES.from_string(template).render(variables).strip()


class HomeAssistant(Mqtt):
    """At a broker, as its user `homeassistant` where that has users."""

    def __init__(self, port: int, username: str = "", password: str = "", device: str = "") -> None:
        """`device`: the one to look at, such as facepipe_box-1_yard, if there are several."""
        self._device = device
        topics = ("homeassistant/#", "faces/status/#")
        super().__init__(port, *topics, username=username, password=password)

    def configs(self) -> list[Received]:
        found = [m for m in list(self.messages) if CONFIG.fullmatch(m.topic)]
        return [m for m in found if not self._device or self._device in m.topic.split("/")]

    def config(self) -> dict[str, Any]:
        """The newest discovery message, that of one device, as soon as there is one."""
        until(self.configs, what="a discovery message")
        config: dict[str, Any] = json.loads(self.configs()[-1].payload)
        check(config)
        return config

    def component(self, name: str) -> dict[str, Any]:
        component: dict[str, Any] = self.config()["components"][name]
        return component

    def state(self, name: str) -> str:
        """What its entity shows of the newest status, whether that is there or not."""
        component = self.component(name)
        if not self.available(name):
            return "unavailable"
        state = rendered(component["value_template"], self._newest(component["state_topic"]))
        return "unknown" if state == "None" else state

    def available(self, name: str) -> bool:
        component = self.component(name)
        if "availability" in component:
            assert component["availability_mode"] == "all"
            return all(self._is_online(**one) for one in component["availability"])
        if "availability_topic" not in component:
            return True
        return self._is_online(component["availability_topic"], component["availability_template"])

    def _is_online(self, topic: str, value_template: str) -> bool:
        online = rendered(value_template, self._newest(topic))
        assert online in ("online", "offline")
        return online == "online"

    def attributes(self, name: str) -> dict[str, Any]:
        component = self.component(name)
        payload = self._newest(component["json_attributes_topic"])
        found: dict[str, Any] = json.loads(rendered(component["json_attributes_template"], payload))
        return found

    def images(self) -> list[Received]:
        """What has come for the camera's picture, be it a face or none."""
        return self.on(self.component("face")["image_topic"])

    def _newest(self, topic: str) -> bytes:
        found = self.on(topic)
        return found[-1].payload if found else b""
