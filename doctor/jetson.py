"""What is checked on a Jetson, or any other box with a camera."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import partial

from common.mqtt import Broker, ConnectionFailed
from common.protocol.topics import DOCTOR
from common.settings import file, host, integer, read, setting
from detector.settings import DetectorSettings
from doctor import brokers, machine
from doctor.camera import check_camera
from doctor.check import Check, Finding, fail, ok, skip
from doctor.face import SentFace, judge_delivery, send_face

_ENROL = "on the server, run `enroll NAME > NAME.tar`; here, unpack it and restart the forwarder"
_LOGS = "docker compose -f docker-compose.jetson.yml logs --tail 20 forwarder"


@dataclasses.dataclass(frozen=True, kw_only=True)
class JetsonSettings(DetectorSettings):
    """The detector's settings, and some of the forwarder's."""

    cloud_host: str = setting("CLOUD_HOST", host, "the server")
    cloud_port: int = setting("CLOUD_PORT", integer(1, 65535), "its port", default=8883)
    cloud_bundle: str = setting("CLOUD_BUNDLE", file, "this device's certificate", default="")

    @property
    def cloud(self) -> Broker:
        return Broker("cloud", self.cloud_host, self.cloud_port, bundle=self.cloud_bundle)


class Jetson:
    """The checks of a device, in order.

    wait: seconds for the receipt of the test face. picture: file for a picture of what the camera
    sees.
    """

    def __init__(self, settings: JetsonSettings, wait: float, picture: str = "") -> None:
        self._wait = wait
        self._settings = settings
        self._picture = picture
        self._sent: SentFace | None = None

    def create_checks(self) -> Iterator[Check]:
        """Check by check, each with those that it builds on."""
        settings = self._settings
        yield Check("docker", machine.check_docker)
        yield Check("outbox", self._check_outbox)
        yield Check("time server", machine.check_synchronized)
        yield Check("server's name", lambda: brokers.check_name(settings.cloud_host))
        yield Check("server's port", self._check_port, ("server's name",))
        yield Check("certificate", self._check_bundle)
        yield Check("server", self._check_server, ("server's port", "certificate"))
        yield Check("edge broker", self._check_edge)
        for camera in settings.cameras:
            name = f"camera/{camera.camera_name}" if settings.cameras_file else "camera"
            yield Check(name, partial(check_camera, name, camera, self._picture))
        yield Check("test face", self._check_face, ("edge broker", "server"))
        yield Check("clock", self._check_clock, ("test face",))

    async def _check_outbox(self) -> Finding:
        settings = self._settings
        if settings.delivery == "once":
            return skip("DELIVERY=once keeps no faces on disk")
        return await machine.check_disk(settings.outbox_path, "the outbox", settings.outbox_max_mb)

    async def _check_port(self) -> Finding:
        return await brokers.check_port(self._settings.cloud_host, self._settings.cloud_port)

    async def _check_bundle(self) -> Finding:
        if not self._settings.cloud_bundle:
            return ok("no certificate is used: CLOUD_BUNDLE is not set")
        return await brokers.check_bundle(self._settings.cloud, self._settings.device, _ENROL)

    async def _check_server(self) -> Finding:
        remedies = {
            "certificate": "set CLOUD_HOST to one of the server's PUBLIC_HOST, and check the clock;"
            " a server that was set up again wants its devices enrolled again",
            "closed": f"the server has revoked this device, or is another one: {_ENROL}",
        }
        return await brokers.check_handshake(self._settings.cloud, remedies)

    async def _check_edge(self) -> Finding:
        start = "start it: docker compose -f docker-compose.jetson.yml up -d broker"
        remedies = {"name": start, "absent": start}
        return await brokers.check_login(self._settings.broker("edge"), f"{DOCTOR}-look", remedies)

    async def _check_face(self) -> Finding:
        settings = self._settings
        topic = settings.mqtt_topic
        try:
            broker = settings.broker("edge")
            self._sent = await send_face(broker, topic, topic, settings.device, self._wait)
        except ConnectionFailed as error:
            return fail(str(error), "see the log of the edge broker", error.reason)
        if self._sent is None:
            remedy = f"see what the forwarder here says, and the processor on the server: {_LOGS}"
            return fail(f"no receipt within {self._wait:g} s", remedy, "no_receipt")
        found = judge_delivery(self._sent)
        return found if found.reason else ok(f"{found.sentence}; the gallery removes it")

    async def _check_clock(self) -> Finding:
        """By the time in the receipt, which came between sending and now."""
        sent = self._sent
        if sent is None or sent.receipt.at is None:
            return skip("the server's processor is of an older version, and does not tell the time")
        return machine.judge_clock(sent.sent + sent.after / 2 - sent.receipt.at, "the server's")


def create_jetson(environ: Mapping[str, str], wait: float, picture: str = "") -> Jetson:
    """The device that the settings describe.

    Raises:
        SettingsError: with everything that is wrong.
    """
    return Jetson(read(JetsonSettings, environ), wait, picture)
