"""What Home Assistant is told of a camera: one device, with its last face and its figures.

Device-based discovery, in the words of https://www.home-assistant.io/integrations/mqtt/. The
figures are read by templates out of the status message that the detector publishes anyway.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from common import __version__
from common.protocol.face import CONTENT_TYPE
from common.protocol.status import PERIOD
from common.protocol.topics import Topics
from detector.settings import DetectorSettings

NODE = "facepipe"

# A status message, and neither the last will nor the empty one of a service that is gone.
_ONLINE = "value_json is defined and value_json.state == 'online'"
_COUNTER = {"state_class": "total_increasing", "unit_of_measurement": "faces"}
_DIAGNOSTIC = {"entity_category": "diagnostic"}


@dataclasses.dataclass(frozen=True)
class HomeAssistantTopics:
    """Where a camera's messages for Home Assistant are."""

    config: str
    face: str
    status: str
    birth: str  # where Home Assistant says that it has started

    @classmethod
    def of(cls, settings: DetectorSettings) -> HomeAssistantTopics:
        prefix, device, camera = (
            settings.homeassistant_prefix,
            settings.device,
            settings.camera_name,
        )
        return cls(
            # With a level more, as is allowed, Home Assistant 2025.1 finds nothing to remove when
            # this is emptied.
            f"{prefix}/device/{_id(settings)}/config",
            f"{prefix}/{NODE}/{device}/{camera}/face",
            Topics(settings.mqtt_topic).status(device, "detector", camera),
            f"{prefix}/status",
        )


def encode_config(settings: DetectorSettings, topics: HomeAssistantTopics) -> bytes:
    """The discovery message."""
    own = _id(settings)
    components = {
        name: {"unique_id": f"{own}_{name}", **component}
        for name, component in _components(settings, topics).items()
    }
    message = {
        "device": {
            "identifiers": [own],
            "name": f"{settings.device} {settings.camera_name}",
            "manufacturer": "facepipe",
            "model": "camera",
            "sw_version": __version__,
        },
        "origin": {"name": "facepipe", "sw_version": __version__},
        "components": components,
    }
    return json.dumps(message, separators=(",", ":")).encode()


def _id(settings: DetectorSettings) -> str:
    """Names have no underscore in them, so that no two cameras come to the same."""
    return f"{NODE}_{settings.device}_{settings.camera_name}"


def _components(
    settings: DetectorSettings, topics: HomeAssistantTopics
) -> dict[str, dict[str, Any]]:
    known = {
        "availability_topic": topics.status,
        "availability_template": f"{{{{ 'online' if {_ONLINE} else 'offline' }}}}",
    }
    # Three periods without a message mean "not heard since", where the last will has not come
    # through either.
    read = {"state_topic": topics.status, "expire_after": 3 * PERIOD}
    sensor = {"platform": "sensor", **known, **read}
    binary = {"platform": "binary_sensor", **read, **_DIAGNOSTIC}
    receipt = settings.delivery == "receipt"
    return {
        "face": {
            "platform": "image",
            "name": "Last face",
            "image_topic": topics.face,
            "content_type": CONTENT_TYPE,
            **known,
        },
        "last_face": {
            **sensor,
            "name": "Last face at",
            "device_class": "timestamp",
            "value_template": _value("value_json.last_face | default(none)"),
        },
        "captured": {
            **sensor,
            "name": "Captured",
            **_COUNTER,
            "value_template": _value("value_json.captured"),
        },
        "delivered": {
            **sensor,
            "name": "Stored" if receipt else "Sent",
            **_COUNTER,
            "value_template": _value("value_json.confirmed" if receipt else "value_json.sent"),
        },
        "waiting": {
            **sensor,
            "name": "Waiting",
            "state_class": "measurement",
            "unit_of_measurement": "faces",
            "value_template": _value("value_json.waiting"),
        },
        "rejected": {
            **sensor,
            "name": "Rejected",
            **_COUNTER,
            **_DIAGNOSTIC,
            "value_template": _value("value_json.rejected.values() | sum"),
        },
        "dropped": {
            **sensor,
            "name": "Dropped",
            **_COUNTER,
            **_DIAGNOSTIC,
            "value_template": _value("value_json.dropped.values() | sum"),
        },
        "frames": {
            **sensor,
            "name": "Frames",
            "state_class": "total_increasing",
            "unit_of_measurement": "frames",
            **_DIAGNOSTIC,
            "value_template": _value("value_json.frames"),
        },
        "problem": {
            **binary,
            **known,
            "name": "Problem",
            "device_class": "problem",
            "value_template": _value("'OFF' if value_json.status == 'well' else 'ON'"),
            "json_attributes_topic": topics.status,
            "json_attributes_template": (
                f"{{{{ (value_json.reasons if {_ONLINE} else {{}}) | tojson }}}}"
            ),
        },
        "connected": {
            **binary,
            "name": "Connected",
            "device_class": "connectivity",
            "value_template": f"{{{{ 'ON' if {_ONLINE} else 'OFF' }}}}",
        },
    }


def _value(expression: str) -> str:
    """A template that gives this while the camera is online, and else "unknown"."""
    return f"{{{{ ({expression}) if {_ONLINE} else none }}}}"
