"""A `common.link.Link` with an event loop and a thread of its own, for tests that wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, TypeVar

from common.mqtt import Ack, Broker, Client, Message
from common.runtime.backoff import Backoff
from common.runtime.health import Health
from testing.host.wait import until

P = ParamSpec("P")
T = TypeVar("T")


class Linked:
    """Use in `with`; what it took gathers in `messages`, why it went down in `downs`."""

    def __init__(self, broker: Broker | int, *topics: str, qos: int = 0, id: str = "link") -> None:
        self.broker = broker if isinstance(broker, Broker) else Broker("test", "127.0.0.1", broker)
        self.health = Health()
        self.messages: list[Message] = []
        self.acks: list[Ack] = []
        self.ups = 0
        self.downs: list[str] = []
        self.manual_ack = False
        self.link: Client
        self._topics, self._qos, self._id = topics, qos, id
        self._loop: asyncio.AbstractEventLoop
        self._ready = threading.Event()
        self._end: asyncio.Event
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    async def _main(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        backoff = Backoff(first=0.02, cap=0.04)
        self.link = Client(self.broker, self._id, self.health, self._qos, backoff)
        self.link.manual_ack = self.manual_ack
        self.link.on_message = self._took
        self.link.on_up.append(self._up)
        self.link.on_down.append(self.downs.append)
        for topic in self._topics:
            self.link.subscribe_to(topic)
        task = asyncio.create_task(self.link.keep_up())
        self._ready.set()
        await asyncio.wait(
            {task, asyncio.create_task(self._end.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
        await self.link.leave()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def _up(self) -> None:
        self.ups += 1

    def _took(self, message: Message, ack: Ack) -> None:
        self.messages.append(message)
        self.acks.append(ack)

    def __enter__(self) -> Linked:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def call(self, function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Call in the event loop."""

        async def calling() -> T:
            return function(*args, **named)

        return asyncio.run_coroutine_threadsafe(calling(), self._loop).result(10)

    @property
    def reason(self) -> str | None:
        return self.health.reasons().get(f"{self.broker.name}_broker")

    def comes_up(self, times: int = 1, seconds: float = 15.0) -> None:
        until(lambda: self.ups >= times and self.link.up, seconds, f"up {times} times")
