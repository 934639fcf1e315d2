"""The MQTT topics, all below one root, and the names that may stand in them."""

from __future__ import annotations

import dataclasses
import re

# A device's or camera's name: part of topics, object keys and certificates.
NAME = re.compile(r"(?!(unknown|rejected)\Z)[a-z0-9][a-z0-9-]{0,62}")

# The camera of test faces, and the device of the server's: they are sent to see whether faces
# arrive, shown on no page, and deleted. No camera and no device may be called so.
DOCTOR = "doctor"


@dataclasses.dataclass(frozen=True)
class Topics:
    """The topics below `root` (MQTT_TOPIC), which is the topic of the faces itself."""

    root: str

    @property
    def stored(self) -> str:
        """The topic on which the processor announces each stored object."""
        return f"{self.root}/stored"

    @property
    def any_device(self) -> str:
        """The filter for the faces of every enrolled device."""
        return f"{self.root}/from/+"

    @property
    def any_status(self) -> str:
        """The filter for the status of every service of every device."""
        return f"{self.root}/status/#"

    def from_device(self, device: str) -> str:
        """The one topic on which an enrolled device may publish faces to the cloud broker."""
        return f"{self.root}/from/{device}"

    def receipts(self, device: str) -> str:
        """The topic of a device's receipts."""
        return f"{self.root}/receipts/{device}"

    def status(self, device: str, service: str, instance: str) -> str:
        """The topic of a service's retained status; `instance` is its camera or replica."""
        return f"{self.root}/status/{device}/{service}/{instance}"

    def sender(self, topic: str) -> str | None:
        """The device that a topic of faces belongs to; None on the shared topic.

        The broker lets only that device publish there.
        """
        device = topic.removeprefix(self.from_device(""))
        return None if device == topic else device
