"""A broker that runs: told of a device, or made to forget one, without a restart."""

from __future__ import annotations

import json
import socket
import ssl
import time
from typing import Any

from paho.mqtt.client import MQTTMessage

from common import client, failures, tls
from common.broker import Broker
from enroll import access
from enroll.access import Json
from enroll.authority import Authority
from enroll.certificates import Identity
from enroll.settings import Settings

STARTING = 2.0  # seconds in which a broker that refuses may be about to listen
ENFORCED_WITHIN = 60.0  # seconds from a new revocation list until the broker goes by it
ANSWERED_WITHIN = 10.0  # seconds
# What a command finds done already, since a run may be repeated.
DONE = {"Role already exists", "Client already exists", "Role not found", "Client not found"}


class NotTold(Exception):
    """The broker runs, but could not be reached or does not do as it should."""


class Live:
    """The running broker, as seen from our own side."""

    def __init__(self, settings: Settings, authority: Authority) -> None:
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
                raise self._explained(error) from None
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
                failure = self._explained(error)
            except OSError as error:
                failure = self._explained(error)
            time.sleep(0.2)
        raise failure

    def tell(self, commands: list[Json]) -> None:
        """Have the dynamic security plugin do `commands`.

        Raises:
            NotTold: it did not do them all.
        """
        answers = self._ask(json.dumps({"commands": commands}))
        for answer in answers:
            error = answer.get("error")
            if error is not None and error not in DONE:
                raise NotTold(f"the {self._broker} cannot do {answer.get('command')}: {error}")
        if len(answers) < len(commands):
            raise NotTold(f"the {self._broker} did {len(answers)} of {len(commands)} commands")

    def _ask(self, payload: str) -> list[Json]:
        answers: list[Json] = []
        refused: list[NotTold] = []

        def connected(_c: Any, _u: Any, _f: Any, code: Any, _p: Any) -> None:
            if code.is_failure:
                refused.append(NotTold(f"{self._broker}: {failures.refused(code)}"))
            else:
                mqtt.subscribe(access.ANSWERS, qos=1)

        def subscribed(_c: Any, _u: Any, _m: Any, codes: list[Any], _p: Any) -> None:
            if codes[0].is_failure:
                refused.append(NotTold(f"the {self._broker} does not let us command: {codes[0]}"))
            else:
                mqtt.publish(access.CONTROL, payload, qos=1)

        def answered(_c: Any, _u: Any, message: MQTTMessage) -> None:
            answers.extend(json.loads(message.payload)["responses"])

        mqtt = client.make(self._broker, "enroll", None, manual_ack=False)
        mqtt.on_connect, mqtt.on_subscribe, mqtt.on_message = connected, subscribed, answered
        mqtt.tls_set_context(self._context(self._authority.passing("enroll")))
        try:
            client.connect(mqtt, self._broker)
        except (OSError, ValueError) as error:
            raise self._explained(error) from None
        deadline = time.monotonic() + ANSWERED_WITHIN
        while not answers and not refused:
            if mqtt.loop(0.1) or time.monotonic() > deadline:
                raise NotTold(f"the {self._broker} ends the connection or does not answer")
        mqtt.disconnect()
        if refused:
            raise refused[0]
        return answers

    def _connected(self) -> socket.socket:
        address = (self._broker.host, self._broker.port)
        return socket.create_connection(address, client.CONNECT_TIMEOUT)

    def _context(self, own: Identity) -> ssl.SSLContext:
        return tls.client_context(self._authority.pem, own.pem)

    def _explained(self, error: OSError | ValueError) -> NotTold:
        return NotTold(f"the {self._broker}: {failures.explained(error, with_tls=True)}")
