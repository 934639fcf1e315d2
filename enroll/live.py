"""A broker that runs: told of a device, or made to forget one, without a restart."""

from __future__ import annotations

import json
import socket
import ssl
import time

from paho.mqtt.client import Client, MQTTMessage

from common.mqtt import CONNECT_TIMEOUT, Broker, client_context
from enroll import access
from enroll.access import Json
from enroll.authority import Authority
from enroll.certificates import Identity
from enroll.settings import EnrollSettings
from enroll.talk import Heard, NotTold, explained, talk

STARTING = 2.0  # seconds in which a broker that refuses may be about to listen
ENFORCED_WITHIN = 60.0  # seconds from a new revocation list until the broker goes by it
# What a command finds done already, since a run may be repeated.
DONE = {"Role already exists", "Client already exists", "Role not found", "Client not found"}


class Live:
    """The running broker, as seen from our own side."""

    def __init__(self, settings: EnrollSettings, authority: Authority) -> None:
        self._broker = Broker("cloud", settings.broker_host, settings.broker_port)
        self._authority = authority

    def runs(self) -> bool:
        """Is there anybody to be told?

        Raises:
            NotTold: that cannot be found out.
        """
        deadline = time.monotonic() + STARTING
        while True:
            try:
                self._connected().close()
            except socket.gaierror:  # as a container's name is, while there is no container
                return False
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.1)
            except OSError as error:
                raise explained(self._broker, error) from None
            else:
                return True

    def refuses(self, canary: Identity) -> None:
        """Wait until the broker goes by the list that `canary` is on.

        Raises:
            NotTold: it does not, in a minute.
        """
        context = self._context(canary)
        # In TLS 1.3 a server judges the client's certificate after the handshake only.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        deadline = time.monotonic() + ENFORCED_WITHIN
        failure = NotTold("no time was left")
        while time.monotonic() < deadline:
            try:
                with context.wrap_socket(self._connected(), server_hostname=self._broker.host):
                    failure = NotTold(
                        f"the {self._broker} goes on accepting what is revoked: does it read its"
                        " files anew on SIGHUP?"
                    )
            except ssl.SSLError as error:
                if "CERTIFICATE_REVOKED" in str(error.reason):
                    return
                failure = explained(self._broker, error)
            except OSError as error:
                failure = explained(self._broker, error)
            time.sleep(0.2)
        raise failure

    def tell(self, commands: list[Json]) -> None:
        """Have the dynamic security plugin do `commands`.

        Raises:
            NotTold: it did not do them all.
        """
        answers = self._ask(json.dumps({"commands": commands}).encode())
        for answer in answers:
            error = answer.get("error")
            if error is not None and error not in DONE:
                raise NotTold(f"the {self._broker} cannot do {answer.get('command')}: {error}")
        if len(answers) < len(commands):
            raise NotTold(f"the {self._broker} did {len(answers)} of {len(commands)} commands")

    def forget(self, device: str) -> None:
        """Take away the status of a device that can say nothing more: it would stay online.

        Raises:
            NotTold: it is still there; it is gone when the broker starts again.
        """
        everything = access.status_of(device)
        last = everything.replace("#", "enroll/last")  # comes after all that is retained
        left: set[str] = set()
        ends = False

        def heard(mqtt: Client, message: MQTTMessage) -> bool:
            nonlocal ends
            if message.retain:
                left.add(message.topic)
                mqtt.publish(message.topic, b"", qos=1, retain=True)
            elif message.topic == last:
                ends = True
            elif not message.payload:
                left.discard(message.topic)
            return ends and not left

        self._talk(everything, (last, b""), heard)

    def _ask(self, payload: bytes) -> list[Json]:
        answers: list[Json] = []

        def heard(_mqtt: Client, message: MQTTMessage) -> bool:
            answers.extend(json.loads(message.payload)["responses"])
            return True

        self._talk(access.ANSWERS, (access.CONTROL, payload), heard)
        return answers

    def _talk(self, topics: str, say: tuple[str, bytes], heard: Heard) -> None:
        talk(self._broker, self._context(self._authority.passing("enroll")), topics, say, heard)

    def _connected(self) -> socket.socket:
        address = (self._broker.host, self._broker.port)
        return socket.create_connection(address, CONNECT_TIMEOUT)

    def _context(self, own: Identity) -> ssl.SSLContext:
        return client_context(self._authority.pem, own.pem)
