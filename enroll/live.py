"""Adds devices to a running broker, or removes them, without a restart."""

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
from enroll.talk import BrokerNotUpdated, OnMessage, converse, explain_failure

# Seconds. What `revoke` waits for adds up to 15 at most, whatever the broker and the devices send:
# the lock of all enrolments is held meanwhile.
STARTING = 1.0  # a broker that refuses connections may be about to listen
ENFORCED_WITHIN = 8.0  # from writing a revocation list until the broker applies it
ANSWERED_WITHIN = 3.5  # from a command until its result
FORGOTTEN_WITHIN = 2.5  # to delete what a device has retained
RETRY = 0.5  # from one try to the next
# Results of a command that a repeated run finds done already.
DONE = {"Role already exists", "Client already exists", "Role not found", "Client not found"}


class LiveBroker:
    """The running broker, as reached from the inside."""

    def __init__(self, settings: EnrollSettings, authority: Authority) -> None:
        self._broker = Broker("cloud", settings.broker_host, settings.broker_port)
        self._authority = authority

    def runs(self) -> bool:
        """Whether there is a broker to update.

        Raises:
            BrokerNotUpdated: that cannot be found out.
        """
        deadline = time.monotonic() + STARTING
        while True:
            try:
                self._connect(CONNECT_TIMEOUT).close()
            except socket.gaierror:  # a container's name does not resolve while it does not run
                return False
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.1)
            except OSError as error:
                raise explain_failure(self._broker, error) from None
            else:
                return True

    def wait_for_refusal(self, canary: Identity) -> None:
        """Wait until the broker applies the revocation list that contains `canary`.

        Raises:
            BrokerNotUpdated: it does not within ENFORCED_WITHIN.
        """
        context = self._context(canary)
        # In TLS 1.3 a server checks the client's certificate after the handshake only.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        deadline = time.monotonic() + ENFORCED_WITHIN
        failure = BrokerNotUpdated("there was no time left")
        while (left := deadline - time.monotonic()) > 0:
            try:
                with context.wrap_socket(self._connect(left), server_hostname=self._broker.host):
                    failure = BrokerNotUpdated(
                        f"the {self._broker} still accepts revoked certificates: does it read its"
                        " files again on SIGHUP?"
                    )
            except ssl.SSLError as error:
                if "CERTIFICATE_REVOKED" in str(error.reason):
                    return
                failure = explain_failure(self._broker, error)
            except OSError as error:
                failure = explain_failure(self._broker, error)
            time.sleep(0.2)
        raise failure

    def command(self, commands: list[Json]) -> None:
        """Have the dynamic security plugin execute `commands`.

        Raises:
            BrokerNotUpdated: it did not execute all of them.
        """
        answers = self._ask(json.dumps({"commands": commands}).encode())
        for answer in answers:
            error = answer.get("error")
            if error is not None and error not in DONE:
                text = f"the {self._broker} cannot do {answer.get('command')}: {error}"
                raise BrokerNotUpdated(text)
        if len(answers) < len(commands):
            text = f"the {self._broker} executed {len(answers)} of {len(commands)} commands"
            raise BrokerNotUpdated(text)

    def forget(self, device: str) -> None:
        """Delete the retained status of a revoked device, which would be shown as online.

        Raises:
            BrokerNotUpdated: some of it is still there, until the broker is restarted.
        """
        everything = access.status_of(device)
        last = everything.replace("#", "enroll/last")  # arrives after everything retained
        left: set[str] = set()
        ends = False

        def on_message(mqtt: Client, message: MQTTMessage) -> bool:
            nonlocal ends
            if message.retain:
                left.add(message.topic)
                mqtt.publish(message.topic, b"", qos=1, retain=True)
            elif message.topic == last:
                ends = True
            elif not message.payload:
                left.discard(message.topic)
            return ends and not left

        self._converse(everything, (last, b""), on_message, FORGOTTEN_WITHIN)

    def _ask(self, payload: bytes) -> list[Json]:
        answers: list[Json] = []

        def on_message(_mqtt: Client, message: MQTTMessage) -> bool:
            answers.extend(json.loads(message.payload)["responses"])
            return True

        self._converse(access.ANSWERS, (access.CONTROL, payload), on_message, ANSWERED_WITHIN)
        return answers

    def _converse(
        self, topics: str, first: tuple[str, bytes], on_message: OnMessage, seconds: float
    ) -> None:
        tls = self._context(self._authority.issue_temporary("enroll"))
        deadline = time.monotonic() + seconds
        while True:
            try:
                converse(self._broker, tls, topics, first, on_message, deadline)
            except BrokerNotUpdated:
                # It may not have read yet which authorities it is to trust.
                if time.monotonic() + RETRY > deadline:
                    raise
                time.sleep(RETRY)
            else:
                return

    def _connect(self, timeout: float) -> socket.socket:
        address = (self._broker.host, self._broker.port)
        return socket.create_connection(address, min(timeout, CONNECT_TIMEOUT))

    def _context(self, own: Identity) -> ssl.SSLContext:
        return client_context(self._authority.root.pem, own.pem)
