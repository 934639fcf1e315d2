"""Ready-made faces at a broker, as fast as it takes them, and when each is heard of again.

Run: `python -m bench.feeder --port 1883 --kb 20 --count 1000`. It prints one line of JSON. With
`--hear-port`, each face is timed from when it is sent to when a message with its Correlation Data
comes there: the face itself behind a relay, or its receipt; and no more than `--window` are under
way at once. A process of its own, without an MQTT library, so that it is not what is measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import secrets
import select
import struct
import subprocess
import sys
import time
from typing import Any

from bench import wire
from bench.load.pictures import picture
from bench.report import percentile
from common.mqtt.broker import Broker
from common.protocol import clock
from testing.services.process import ROOT

AHEAD = 64  # faces handed to a connection before the kernel has taken them
PICTURES = 8  # different ones, in turn
LETTERS = 256  # different facts, of different lengths


@dataclasses.dataclass(frozen=True, kw_only=True)
class Load:
    """What is sent where; `{device}` in topics and files is the device's name."""

    host: str = "127.0.0.1"
    port: int = 1883
    bundle: str = ""  # PEM file with authority, certificate and key: TLS
    topic: str = "faces"
    device: str = "box-1"  # with more than one: box-1-0, box-1-1, ...
    devices: int = 1  # connections, each of a device of its own
    kb: float = 20.0
    qos: int = 0
    count: int = 0  # faces of all devices; 0 is no bound
    seconds: float = 0.0  # after which no more are sent; 0 is no bound
    rate: float = 0.0  # faces a second of all devices; 0 is as fast as they are taken
    window: int = 0  # faces under way at once; 0 is no bound
    hear_host: str = "127.0.0.1"
    hear_port: int = 0  # 0: nothing is listened to
    hear_bundle: str = ""
    hear_topic: str = "faces"
    hear_qos: int = 0
    patience: float = 5.0  # seconds without news after which the rest is given up
    each: bool = False  # tell the time of each face by its id


@dataclasses.dataclass
class Fed:
    """What became of a load. Times in milliseconds."""

    sent: int = 0
    heard: int = 0
    doubles: int = 0
    seconds: float = 0.0  # from the first that was sent to the last that was heard, or acknowledged
    rate: float = 0.0  # a second
    median: float = 0.0
    p99: float = 0.0
    bytes: int = 0  # heard
    cpu: float = 0.0  # seconds of the feeder itself
    each: dict[str, float] = dataclasses.field(default_factory=dict)


def facts(device: str, seed: int) -> dict[str, str]:
    """The properties of a face in a 1080p frame, but for its id: common/protocol/face.py."""
    some = random.Random(seed)
    side = round(some.lognormvariate(4.5, 0.5))
    x, y, margin = some.randrange(1920), some.randrange(1080), side // 5
    return {
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


class Source:
    """One device's connection."""

    def __init__(self, load: Load, number: int) -> None:
        name = load.device if load.devices == 1 else f"{load.device}-{number}"
        broker = Broker("bench", load.host, load.port, bundle=load.bundle.format(device=name))
        topic = load.topic.format(device=name)
        pictures = [picture(load.kb, seed) for seed in range(PICTURES)]
        self.letters = [
            wire.Letter.to(topic, name, facts(name, seed), pictures[seed % PICTURES], load.qos)
            for seed in range(LETTERS)
        ]
        self.session = wire.Session(broker, f"{name}-feeder")
        self._most = self.session.receive_maximum if load.qos else 0
        self.unacknowledged = 0
        self.mid = 0

    def send(self, serial: int, prefix: bytes) -> None:
        self.mid = self.mid % 65535 + 1
        letter = self.letters[serial % LETTERS]
        self.session.put(letter.parts(prefix + b"%08x" % serial, self.mid))
        self.unacknowledged += letter.qos

    @property
    def free(self) -> bool:
        return self.session.waiting < 2 * AHEAD and (
            not self._most or self.unacknowledged < self._most
        )

    def read(self) -> int:
        """PUBACKs that have come."""
        heard = 0
        for kind, body in self.session.packets():
            if kind == wire.PUBACK:
                heard += 1
                if len(body) > 2 and body[2] >= 0x80:
                    raise PermissionError(f"the broker refuses a face: reason {body[2]:#x}")
        self.unacknowledged -= heard
        return heard


class Feeder:
    """Sends a load and hears of it, in one thread that polls."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.fed = Fed()
        self._prefix = b"%012x7%s" % (round(time.time() * 1000), secrets.token_hex(6)[:11].encode())
        self._mark = wire.CORRELATION + self._prefix
        self._ear = self._listen() if load.hear_port else None
        self._sources = [Source(load, number) for number in range(load.devices)]
        self._poll = select.epoll()
        self._by_fd: dict[int, Source] = {s.session.sock.fileno(): s for s in self._sources}
        for fd in self._by_fd:
            self._poll.register(fd, select.EPOLLIN)
        if self._ear:
            self._poll.register(self._ear.sock.fileno(), select.EPOLLIN)
        self._writing: set[int] = set()
        self._sent_at: list[float] = []
        self._ways: dict[int, float] = {}
        self._acknowledged = 0
        self._began = self._news = 0.0

    def _listen(self) -> wire.Session:
        load = self._load
        broker = Broker("hear", load.hear_host, load.hear_port, bundle=load.hear_bundle)
        ear = wire.Session(broker, f"ear-{secrets.token_hex(4)}")
        ear.subscribe([load.hear_topic], load.hear_qos)
        return ear

    @property
    def _done(self) -> int:
        """Faces of which there is news: heard, else acknowledged, else sent."""
        if self._ear:
            return len(self._ways)
        return self._acknowledged if self._load.qos else len(self._sent_at)

    def _over(self, now: float) -> bool:
        load = self._load
        return bool(load.count and len(self._sent_at) >= load.count) or bool(
            load.seconds and now - self._began >= load.seconds
        )

    def run(self) -> Fed:
        self._began = self._news = time.perf_counter()
        while True:
            now = time.perf_counter()
            over = self._over(now)
            if not over:
                self._send(now)
            idle = not any(source.session.waiting for source in self._sources)
            if over and idle and self._done >= len(self._sent_at):
                break
            if over and now - self._news > self._load.patience:
                break
            self._wait(now, over)
        return self._tell()

    def _send(self, now: float) -> None:
        load, at = self._load, self._sent_at
        room = load.count - len(at) if load.count else 1_000_000
        if load.window:
            room = min(room, load.window - (len(at) - self._done))
        if load.rate:
            room = min(room, int((now - self._began) * load.rate) + 1 - len(at))
        free = [source for source in self._sources if source.free]
        while room > 0 and free:
            for source in free[:room]:
                source.send(len(at), self._prefix)
                at.append(time.perf_counter())
            room -= len(free)
            free = [source for source in free if source.free]
        for source in self._sources:
            if source.session.waiting:
                source.session.flush()
                self._watch(source)

    def _watch(self, source: Source) -> None:
        """Ask to be told when there is room to write, but only while something waits."""
        fd = source.session.sock.fileno()
        if bool(source.session.waiting) != (fd in self._writing):
            self._writing ^= {fd}
            writing = select.EPOLLOUT if fd in self._writing else 0
            self._poll.modify(fd, select.EPOLLIN | writing)

    def _wait(self, now: float, over: bool) -> None:
        pause = 0.2
        if self._load.rate and not over:
            due = self._began + len(self._sent_at) / self._load.rate
            pause = min(pause, max(0.0, due - now))
        elif not over and not self._load.window and any(s.free for s in self._sources):
            pause = 0.0
        for fd, _ in self._poll.poll(pause):
            source = self._by_fd.get(fd)
            if source is None:
                self._hear()
                continue
            acknowledged = source.read()
            if acknowledged:
                self._acknowledged += acknowledged
                self._news = time.perf_counter()
            source.session.flush()
            self._watch(source)

    def _hear(self) -> None:
        assert self._ear
        now = self._news = time.perf_counter()
        for kind, head in self._ear.packets():
            if kind & 0xF0 != wire.PUBLISH:
                continue
            if kind & 0x06:
                after = 2 + struct.unpack_from("!H", head)[0]
                self._ear.put([b"\x40\x02" + head[after : after + 2]])
            at = head.find(self._mark)
            if at < 0:
                continue
            at += len(self._mark)
            serial = int(head[at : at + 8], 16)
            if serial in self._ways:
                self.fed.doubles += 1
            else:
                self._ways[serial] = now - self._sent_at[serial]
        self._ear.flush()

    def _tell(self) -> Fed:
        fed, ways = self.fed, [1000 * way for way in self._ways.values()]
        fed.sent, fed.heard = len(self._sent_at), len(ways)
        fed.seconds = (
            self._news if self._ear or self._load.qos else time.perf_counter()
        ) - self._began
        fed.rate = self._done / fed.seconds if fed.seconds else 0.0
        if ways:
            fed.median, fed.p99 = percentile(ways, 0.5), percentile(ways, 0.99)
        fed.bytes = self._ear.bytes if self._ear else 0
        fed.cpu = time.process_time()
        if self._load.each:
            prefix = self._prefix.decode()
            fed.each = {f"{prefix}{serial:08x}": way for serial, way in self._ways.items()}
        return fed


def start(**load: Any) -> subprocess.Popen[bytes]:
    """A feeder as a process, by the names of `Load`."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in load.items()]
    command = [sys.executable, "-m", "bench.feeder", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes], seconds: float = 600.0) -> Fed:
    """Wait for a feeder's end, and for what it has to tell."""
    output, _ = process.communicate(timeout=seconds)
    if process.returncode:
        raise RuntimeError(f"the feeder has ended with {process.returncode}")
    return Fed(**json.loads(output))


def feed(**load: Any) -> Fed:
    return finish(start(**load))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.feeder", description=__doc__)
    for field in dataclasses.fields(Load):
        kind = type(field.default)
        flag = f"--{field.name.replace('_', '-')}"
        if kind is bool:
            parser.add_argument(flag, type=lambda word: word == "True", default=field.default)
        else:
            parser.add_argument(flag, type=kind, default=field.default)
    fed = Feeder(Load(**vars(parser.parse_args()))).run()
    print(json.dumps(dataclasses.asdict(fed)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
