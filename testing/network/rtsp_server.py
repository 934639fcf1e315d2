"""An RTSP server over GStreamer's, for Debian's Python: prints its port, then serves until killed.

    /usr/bin/python3 rtsp_server.py '{"launch": "videotestsrc ! x264enc ! rtph264pay name=pay0"}'

launch: the pipeline of /cam. user, password, digest: who may see it, and how they log in. delay:
seconds until DESCRIBE is answered. udp: it refuses TCP. port: to listen at, 0 for a free one; host:
the address, that of loopback if there is none.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 - versions come first


def _create_auth(wanted: dict[str, Any]) -> Any:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if wanted.get("digest"):
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(wanted["user"], wanted["password"], token)
    else:
        basic = GstRtspServer.RTSPAuth.make_basic(wanted["user"], wanted["password"])
        auth.add_basic(basic, token)
    return auth


def _delay_describe(_server: Any, client: Any, seconds: float) -> None:
    def wait(*_: Any) -> Any:
        time.sleep(seconds)
        return GstRtsp.RTSPStatusCode.OK

    client.connect("pre-describe-request", wait)


def main(wanted: dict[str, Any]) -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(wanted.get("host", "127.0.0.1"))
    server.set_service(str(wanted.get("port", 0)))
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( {wanted['launch']} )")
    factory.set_shared(True)
    if wanted.get("udp"):
        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
    if wanted.get("user"):
        server.set_auth(_create_auth(wanted))
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/cam", factory)
    server.connect("client-connected", _delay_describe, wanted.get("delay", 0.0))
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main(json.loads(sys.argv[1]))
