"""Daemon threads for blocking calls, awaited from asyncio."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Workers:
    """`count` threads that run calls in the order of `run`.

    asyncio's own executor is joined when the process ends, so a call that hangs (a name that does
    not resolve, a store that does not answer) would block a clean shutdown. These threads do not.
    """

    def __init__(self, name: str, count: int = 1) -> None:
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        for index in range(count):
            threading.Thread(target=self._work, name=f"{name}-{index}", daemon=True).start()

    def run(self, call: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Run `call(*args)` in one of the threads; returns a future of its result."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((loop, future, call, args))
        return future

    def _work(self) -> None:
        # The job's variables go out of scope with each call, so an idle thread keeps nothing alive.
        while _run_job(*self._jobs.get()):
            pass


def _run_job(
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[Any],
    call: Callable[..., Any],
    args: tuple[Any, ...],
) -> bool:
    """Run one job; False if the event loop has closed, so that nobody waits any more."""
    if future.cancelled():
        return True
    try:
        outcome: Callable[[], None] = _create_callback(future, result=call(*args))
    except Exception as error:  # noqa: BLE001 - raised again where the future is awaited
        outcome = _create_callback(future, error=error)
    try:
        loop.call_soon_threadsafe(outcome)
    except RuntimeError:
        return False
    return True


def _create_callback(
    future: asyncio.Future[Any], result: Any = None, error: Exception | None = None
) -> Callable[[], None]:
    def settle() -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    return settle
