"""`python -m detector --cameras`: the cameras that this machine reaches, and CAMERA for each."""

from __future__ import annotations

import sys

from detector.commands.onvif import NetworkCamera, find_network_cameras
from detector.commands.webcams import print_webcams, to_printable

_NONE = (
    "No ONVIF camera answered in this machine's networks. (A container reaches its own network"
    " only.)\n"
)


def print_cameras() -> int:
    """Print the webcams of this machine and the ONVIF cameras of its networks; returns 0."""
    print_webcams()
    cameras = find_network_cameras()
    sys.stdout.write("\n" + ("\n".join(map(_describe, cameras)) or _NONE))
    return 0


def _describe(camera: NetworkCamera) -> str:
    # Only a login opens what knows the path, which is different for each maker.
    named = [text for text in (camera.name, camera.hardware) if text]
    return (
        f"{to_printable(', '.join(named)) or 'ONVIF camera'}\n"
        f"  CAMERA=rtsp://{camera.address}/PATH\n"
        f"  PATH is in the camera's manual, or on its page: http://{camera.address}/\n"
    )
