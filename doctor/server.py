"""What is checked on the server."""

from __future__ import annotations

import dataclasses
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path

from common.mqtt import ConnectionFailed
from common.protocol.topics import DOCTOR, Topics
from common.settings import integer, number, read, setting, text
from common.store import registry
from common.store.store_settings import StoreSettings
from doctor import brokers, machine
from doctor.bucket import BucketChecks
from doctor.check import Check, Finding, fail, ok, warn
from doctor.face import judge_delivery, send_face

INDEX_MB = 1000  # that the gallery's index and thumbnails may grow by
_CREDENTIALS = ("COS_API_KEY", "COS_ACCESS_KEY_ID", "COS_SECRET_ACCESS_KEY")
_ENROL = "run `enroll renew` on the server, which makes what is missing"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerSettings(StoreSettings):
    """The processor's settings, and some of the gallery's and of enrolment's."""

    public_host: str = setting("PUBLIC_HOST", text, "names by which devices reach the server")
    public_port: int = setting(
        "PUBLIC_PORT", integer(1, 65535), "port at which devices reach it", default=8883
    )
    data: str = setting("GALLERY_DATA", text, "folder of the gallery", default="")
    retention_days: int = setting("RETENTION_DAYS", integer(0, 36500), "days", default=0)
    retention_hours: float = setting("RETENTION_HOURS", number(0, 876_000), "hours", default=0.0)


def _read_gallery(environ: Mapping[str, str]) -> StoreSettings:
    """Settings with the gallery's credentials: its own, or else the processor's."""
    own = {name: value for name, value in environ.items() if name.startswith("GALLERY_COS_")}
    kept = dict(environ)
    if any(value and not Path(value).is_char_device() for value in own.values()):
        kept = {name: value for name, value in kept.items() if not _is_credential(name)}
        kept |= {name.removeprefix("GALLERY_"): value for name, value in own.items()}
    return read(StoreSettings, kept)


def _is_credential(name: str) -> bool:
    return name.removesuffix("_FILE") in _CREDENTIALS


class Server:
    """The checks of a server, in order.

    gallery: settings with the gallery's credentials. wait: seconds for the receipt of the test
    face. missing: the bundle that MQTT_BUNDLE names in vain.
    """

    def __init__(
        self, settings: ServerSettings, gallery: StoreSettings, wait: float, missing: str = ""
    ) -> None:
        self._wait = wait
        self._missing = missing
        self._settings = settings
        self._bucket = BucketChecks(
            registry.create(settings.store_options(2)), registry.create(gallery.store_options(2))
        )
        self._hosts = tuple(host.strip() for host in settings.public_host.split(","))

    def create_checks(self) -> Iterator[Check]:
        """Check by check, each with those that it builds on."""
        settings, bucket = self._settings, self._bucket
        yield Check("docker", machine.check_docker)
        if settings.data:
            yield Check("disk", self._check_disk)
        endpoint: tuple[str, ...] = ()
        if settings.endpoint.partition(":")[0] in ("http", "https"):
            yield Check("endpoint", self._check_endpoint)
            yield Check("clock", lambda: machine.check_clock_of(settings.endpoint), ("endpoint",))
            endpoint = ("endpoint",)
        yield Check("write", bucket.check_write, endpoint)
        yield Check("read", bucket.check_read, ("write",))
        yield Check("list", bucket.check_list, ("write",))
        yield Check("delete", bucket.check_delete, ("write",))
        yield Check("retention", self._check_retention, endpoint)
        yield Check("identity", self._check_identity)
        yield Check("broker", self._check_broker, ("identity",))
        yield Check("public name", self._check_public_name)
        yield Check("public port", self._check_public_port, ("public name",))
        yield Check("test face", self._check_face, ("broker", "write"))

    async def _check_disk(self) -> Finding:
        return await machine.check_disk(self._settings.data, "the gallery's data", INDEX_MB)

    async def _check_endpoint(self) -> Finding:
        parts = urllib.parse.urlsplit(self._settings.endpoint)
        host = parts.hostname or ""
        named = await brokers.check_name(host)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return named if named.reason else await brokers.check_port(host, port)

    async def _check_retention(self) -> Finding:
        settings = self._settings
        return await self._bucket.check_retention(settings.retention_days, settings.retention_hours)

    async def _check_identity(self) -> Finding:
        if self._missing:
            return fail(f"the doctor has no certificate: there is no {self._missing}", _ENROL)
        if not self._settings.mqtt_bundle:
            return ok("no identity is used: this broker has no TLS")
        return await brokers.check_bundle(self._settings.broker("cloud"), DOCTOR, _ENROL)

    async def _check_broker(self) -> Finding:
        remedies = {
            "name": "start the broker: docker compose -f docker-compose.cloud.yml up -d",
            "absent": "start the broker: docker compose -f docker-compose.cloud.yml up -d",
            "closed": _ENROL,
        }
        # With TLS it is Mosquitto with our certificates; else there are no names to look at.
        names = self._hosts if self._settings.mqtt_bundle else ()
        broker = self._settings.broker("cloud")
        return await brokers.check_login(broker, f"{DOCTOR}-look", remedies, names)

    async def _check_public_name(self) -> Finding:
        for host in self._hosts:
            found = await brokers.check_name(host)
            if found.reason:
                remedy = "create the DNS record, or correct PUBLIC_HOST and run `enroll renew`"
                return fail(f"{host}: {found.sentence}", remedy, found.reason)
        return ok(f"devices reach this server as {', '.join(self._hosts)}")

    async def _check_public_port(self) -> Finding:
        found = await brokers.check_port(self._hosts[0], self._settings.public_port)
        if not found.reason:
            return found
        return warn(
            f"port {self._settings.public_port} of {self._hosts[0]} cannot be reached from here:"
            f" {found.sentence}",
            "open it in the security group; some networks only let others in, so try from a device",
            found.reason,
        )

    async def _check_face(self) -> Finding:
        settings = self._settings
        topic = Topics(settings.mqtt_topic).from_device(DOCTOR)
        try:
            sent = await send_face(
                settings.broker("cloud"), topic, settings.mqtt_topic, DOCTOR, self._wait
            )
        except ConnectionFailed as error:
            return fail(str(error), _ENROL, error.reason)
        if sent is None:
            return fail(
                f"no receipt within {self._wait:g} s",
                "see what the processor says: docker compose -f docker-compose.cloud.yml logs"
                " --tail 20 processor",
                "no_receipt",
            )
        found = judge_delivery(sent)
        if found.reason:
            return found
        reason = await self._bucket.remove(sent.receipt.key)
        if reason:
            remedy = f"delete {sent.receipt.key} by hand, or leave it to the bucket's rule"
            return warn(f"{found.sentence}, and could not be removed", remedy, reason)
        return ok(f"{found.sentence}, and removed")


def create_server(environ: Mapping[str, str], wait: float) -> Server:
    """The server that the settings describe.

    Raises:
        SettingsError: with everything that is wrong.
    """
    bundle = environ.get("MQTT_BUNDLE", "")
    missing = bundle if bundle and not Path(bundle).exists() else ""
    if missing:  # the doctor's own, which an older enrolment has not made: that is a finding
        environ = {**environ, "MQTT_BUNDLE": ""}
    return Server(read(ServerSettings, environ), _read_gallery(environ), wait, missing)
