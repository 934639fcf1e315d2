"""The load generator: ready-made faces at a broker, and when each is heard of again.

Run as `python -m bench.load.feeder JSON`, where the JSON has the fields of `Load`; it prints a line
when its connections are there, and `Fed` as JSON. It is a process of its own and uses sockets in
bulk, so that it is not what a bench measures. `feed` runs it.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import random
import secrets
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bench.load.pictures import picture
from bench.measure import Meter, percentile
from common.mqtt import Broker, encode_number
from common.mqtt.message import encode_publish_head
from common.mqtt.packet_stream import Packet, PacketStream
from common.protocol import clock
from common.protocol.face import Face
from common.protocol.topics import Topics
from common.runtime import sockets
from testing.services.process import ROOT

TOPICS = Topics("faces")
AHEAD = 128  # buffers that a connection may have waiting before it gets no more faces
PICTURES = 8  # different ones, in turn
VARIETY = 256  # faces with different properties, of different lengths, over all devices
CONNACK, PUBLISH, PUBACK, SUBACK = 0x20, 0x30, 0x40, 0x90
CORRELATION = b"\x09\x00\x20"  # Correlation Data of 32 bytes: an id


@dataclasses.dataclass(frozen=True, kw_only=True)
class Load:
    """What is sent to where. `{device}` in `topic` and `bundle` is the device's name."""

    port: int
    host: str = "127.0.0.1"
    bundle: str = ""  # PEM file with authority, certificate and key; empty: no TLS
    topic: str = "faces"
    device: str = "box-1"  # with several devices: box-1-0, box-1-1, ...
    devices: int = 1  # connections, one for each device
    kb: float = 20.0
    qos: int = 0
    seconds: float
    rate: float = 0.0  # faces a second of all devices; 0: as fast as they are taken
    window: int = 0  # faces that may be under way at once; 0: any number
    hear_port: int = 0  # broker at which faces or receipts are heard; 0: at the devices' own
    hear_topic: str = "faces/receipts/{device}"
    hear_qos: int = 0
    patience: float = 5.0  # seconds without news after which the rest counts as lost


@dataclasses.dataclass
class Fed:
    """What became of a load."""

    sent: int
    heard: int
    doubles: int
    seconds: float  # from the first face sent to the last one heard
    median: float  # ms from sending a face to hearing of it
    p99: float
    cpu: float  # seconds that the feeder itself used

    @property
    def rate(self) -> float:
        """Faces a second."""
        return self.heard / self.seconds


class Session(PacketStream):
    """A connection to a broker, ready for use when created; it never blocks after that.

    Raises:
        ConnectionError: the broker refuses or closes it.
    """

    def __init__(self, broker: Broker, client_id: str) -> None:
        sock = socket.create_connection((broker.host, broker.port), 20)
        sockets.tune(sock)
        context = broker.context()
        super().__init__(
            context.wrap_socket(sock, server_hostname=broker.host) if context else sock
        )
        answer = self._ask(_encode_connect(client_id), CONNACK)
        if answer[1]:
            raise ConnectionError(f"the broker refuses {client_id}: reason {answer[1]:#x}")
        properties = Properties(PacketTypes.CONNACK)
        properties.unpack(answer[2:])
        self.receive_maximum: int = getattr(properties, "ReceiveMaximum", 65535)
        self.setblocking(False)

    def subscribe(self, topic: str, qos: int) -> None:
        name = topic.encode()
        body = b"\0\1\0" + len(name).to_bytes(2) + name + bytes((qos,))
        self.setblocking(True)
        if self._ask(b"\x82" + encode_number(len(body)) + body, SUBACK)[-1] >= 0x80:
            raise PermissionError(f"the broker denies {topic}")
        self.setblocking(False)

    def _ask(self, packet: bytes, kind: int) -> bytes:
        self.sock.sendall(packet)
        while self.read():
            for first, body in list(self.packets()):
                assert first == kind, f"the broker answers {first:#x}"
                return bytes(body)
        raise ConnectionError("the broker has closed the connection")

    def receive(self) -> Iterator[Packet]:
        """The packets that have arrived."""
        while got := self.read():
            yield from self.packets()
            if not self.expects_more:
                return
        if got is None:
            raise ConnectionError("the broker has closed the connection")

    @property
    def ahead(self) -> int:
        """Number of buffers that the kernel has not taken."""
        return len(self._out)


def _encode_connect(client_id: str) -> bytes:
    name = client_id.encode()
    # Clean start, no keep-alive; Maximum Packet Size 4 MiB, Receive Maximum 65535.
    properties = b"\x27\x00\x40\x00\x00\x21\xff\xff"
    body = b"\0\4MQTT\5\2\0\0" + bytes((len(properties),)) + properties
    body += len(name).to_bytes(2) + name
    return b"\x10" + encode_number(len(body)) + body


class Device:
    """One device's connection, and the faces that it sends again and again under new ids."""

    def __init__(self, load: Load, number: int, pictures: list[bytes]) -> None:
        self.name = load.device if load.devices == 1 else f"{load.device}-{number}"
        self._topic = load.topic.format(device=self.name)
        self._qos = load.qos
        bundle = load.bundle.format(device=self.name)
        self.session = Session(Broker("bench", load.host, load.port, bundle=bundle), self.name)
        self._most = self.session.receive_maximum if load.qos else 0
        self.unacknowledged = 0
        self._sent = 0
        self._faces: list[tuple[list[bytes], bytes]] = []
        for seed in range(max(PICTURES, VARIETY // load.devices)):
            face = _create_face(self.name, seed, pictures[seed % PICTURES])
            png, properties = face.encode(TOPICS)
            self._faces.append((properties.split(face.id.encode()), png))

    def send(self, id: bytes) -> None:
        self._sent += 1
        parts, png = self._faces[self._sent % len(self._faces)]
        mid = self._sent % 65535 + 1
        head = encode_publish_head(self._topic, len(png), self._qos, False, mid, id.join(parts))
        self.session.put(head, png)
        self.unacknowledged += self._qos

    @property
    def free(self) -> bool:
        return self.session.ahead < AHEAD and (not self._most or self.unacknowledged < self._most)


def _create_face(device: str, seed: int, png: bytes) -> Face:
    """A face as in a 1080p frame."""
    some = random.Random(seed)
    side = round(some.lognormvariate(4.5, 0.5))
    x, y, margin = some.randrange(1920), some.randrange(1080), side // 5
    facts = {
        "id": f"{seed:032x}",
        "device": device,
        "camera": "camera-0",
        "captured": clock.to_rfc3339(time.time()),
        "clock": "set",
        "frame": "1920x1080",
        "face": f"{x},{y},{side},{side}",
        "box": f"{max(0, x - margin)},{max(0, y - margin)},{side + 2 * margin},{side + 2 * margin}",
        "engine": "haar",
        "score": f"{some.uniform(0, 12):.1f}",
        "sharpness": f"{some.lognormvariate(5, 1):.1f}",
        "quality": f"{some.random():.3f}",
        "track": f"{some.getrandbits(64):016x}",
    }
    return Face(png, facts)


class Feeder:
    """Sends a load and hears of it, in one thread that polls."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._prefix = b"%012x7%s" % (round(time.time() * 1000), secrets.token_hex(6)[:11].encode())
        self._mark = CORRELATION + self._prefix
        pictures = [picture(load.kb, seed) for seed in range(PICTURES)]
        self._devices = collections.deque(Device(load, n, pictures) for n in range(load.devices))
        self._by_fd: dict[int, Device] = {d.session.fileno(): d for d in self._devices}
        self._sessions = {fd: device.session for fd, device in self._by_fd.items()}
        if load.hear_port:
            ear = Session(
                Broker("hear", "127.0.0.1", load.hear_port), f"ear-{secrets.token_hex(4)}"
            )
            ear.subscribe(load.hear_topic, load.hear_qos)
            self._sessions[ear.fileno()] = ear
        else:
            for device in self._devices:
                device.session.subscribe(load.hear_topic.format(device=device.name), load.hear_qos)
        self._poll = select.epoll()
        for fd in self._sessions:
            self._poll.register(fd, select.EPOLLIN)
        self._writing: set[int] = set()
        self._sent_at: list[float] = []
        self._took: dict[int, float] = {}  # seconds, by serial number
        self._doubles = 0
        self._began = self._news = 0.0

    def run(self) -> Fed:
        load = self._load
        cpu = time.process_time()
        self._began = self._news = time.perf_counter()
        while True:
            now = time.perf_counter()
            over = now - self._began >= load.seconds
            if not over:
                self._send(now)
            if over and len(self._took) >= len(self._sent_at):
                break
            if over and now - self._news > load.patience:
                break
            self._wait(now, over)
        took = [1000 * seconds for seconds in self._took.values()] or [0.0]
        return Fed(
            sent=len(self._sent_at),
            heard=len(self._took),
            doubles=self._doubles,
            seconds=max(self._news - self._began, 1e-9),
            median=percentile(took, 0.5),
            p99=percentile(took, 0.99),
            cpu=time.process_time() - cpu,
        )

    def _send(self, now: float) -> None:
        load, at = self._load, self._sent_at
        room = load.window - (len(at) - len(self._took)) if load.window else 1_000_000
        if load.rate:
            room = min(room, int((now - self._began) * load.rate) + 1 - len(at))
        blocked = 0
        while room > 0 and blocked < len(self._devices):
            device = self._devices[0]
            self._devices.rotate(-1)  # each in turn
            if not device.free:
                blocked += 1
                continue
            device.send(self._prefix + b"%08x" % len(at))
            at.append(time.perf_counter())
            room, blocked = room - 1, 0
        for fd, device in self._by_fd.items():
            if device.session.waiting:
                self._write(fd, device.session)

    def _write(self, fd: int, session: Session) -> None:
        """Write what the kernel takes; be told of room to write only while something waits."""
        session.write()
        if session.waiting != (fd in self._writing):
            self._writing ^= {fd}
            writing = select.EPOLLOUT if session.waiting else 0
            self._poll.modify(fd, select.EPOLLIN | writing)

    def _wait(self, now: float, over: bool) -> None:
        load, pause = self._load, 0.2
        if load.rate and not over:
            due = self._began + len(self._sent_at) / load.rate
            pause = min(pause, max(0.0, due - now))
        elif not over and not load.window and any(device.free for device in self._devices):
            pause = 0.0
        for fd, _ in self._poll.poll(pause):
            session = self._sessions[fd]
            for first, body in session.receive():
                if first & 0xF0 == PUBLISH:
                    self._hear(session, first, bytes(body[:2048]))
                elif first == PUBACK:
                    if len(body) > 2 and body[2] >= 0x80:
                        raise PermissionError(f"the broker refuses a face: reason {body[2]:#x}")
                    self._by_fd[fd].unacknowledged -= 1
            self._write(fd, session)

    def _hear(self, session: Session, first: int, head: bytes) -> None:
        now = self._news = time.perf_counter()
        if first & 0x06:
            after = 2 + int.from_bytes(head[:2])
            session.put(b"\x40\x02" + head[after : after + 2])
        at = head.find(self._mark)
        if at < 0:
            return
        at += len(self._mark)
        serial = int(head[at : at + 8], 16)
        self._doubles += serial in self._took
        self._took.setdefault(serial, now - self._sent_at[serial])


def feed(meter: Meter | None = None, **load: Any) -> Fed:
    """Run a feeder until it ends; its load by the names of `Load`.

    meter: measures from when the connections are there.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "-m", "bench.load.feeder", json.dumps(load)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with meter or contextlib.nullcontext():
            result = process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"the feeder has ended with {process.returncode}")
    return Fed(**json.loads(result))


if __name__ == "__main__":
    feeder = Feeder(Load(**json.loads(sys.argv[1])))
    print("ready", flush=True)
    print(json.dumps(dataclasses.asdict(feeder.run())))
