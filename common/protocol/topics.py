"""The topics, all below one root, and the names that are part of them."""

from __future__ import annotations

import dataclasses
import re

# A device's or camera's name: part of topics, object keys and certificates.
NAME = re.compile(r"(?!(unknown|rejected)\Z)[a-z0-9][a-z0-9-]{0,62}")


@dataclasses.dataclass(frozen=True)
class Topics:
    """The topics below `root` (MQTT_TOPIC), which is the topic of the faces itself."""

    root: str

    @property
    def stored(self) -> str:
        """Where the processor announces each object that it stored."""
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
        """The one topic on which an enrolled device may send faces to the cloud broker."""
        return f"{self.root}/from/{device}"

    def receipts(self, device: str) -> str:
        """Where a device hears what became of its faces."""
        return f"{self.root}/receipts/{device}"

    def status(self, device: str, service: str, instance: str) -> str:
        """Where a service keeps its retained status; `instance`: its camera or replica."""
        return f"{self.root}/status/{device}/{service}/{instance}"

    def sender(self, topic: str) -> str | None:
        """The device that the broker vouches for on a topic of faces; None on the shared topic."""
        device = topic.removeprefix(self.from_device(""))
        return None if device == topic else device
