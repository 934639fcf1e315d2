"""The run loop of every service: settings, logs, health, signals, and a timely shutdown."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from common import __version__
from common.http import server
from common.runtime.commands import Command, parse, restore_default_signals
from common.runtime.health import Health, watch
from common.runtime.logs import configure
from common.runtime.signals import release_signals
from common.service_settings import ServiceSettings
from common.settings import SettingsError, describe_settings, format_settings, read

log = logging.getLogger(__name__)

BAD_SETTINGS = 2  # exit code for errors that only a person can fix
STOP_WITHIN = 8.0  # seconds from SIGTERM to the end of the process
FINISH_WITHIN = 5.5  # seconds of these that a service may spend on work in progress

S = TypeVar("S", bound=ServiceSettings)


class Service:
    """The running service, as its main coroutine sees it."""

    def __init__(self) -> None:
        self.health = Health()
        self.web: server.HttpServer  # serves /healthz and /metrics; pages can be added
        self.stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._broken: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work` beside the main coroutine; an exception in it ends the service."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._broken.done():
            self._broken.set_exception(error)

    async def until_stopped(self, *until: Awaitable[Any]) -> None:
        """Wait for SIGTERM, for one of `until`, or for a spawned task to fail (which raises)."""
        waits = [asyncio.ensure_future(w) for w in (self.stopping.wait(), self._broken, *until)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            if wait.done() and wait is not self._broken:
                wait.result()
            elif wait is not self._broken:
                wait.cancel()
        if self._broken.done():
            self._broken.result()

    async def pause(self, seconds: float) -> None:
        """Sleep, but wake up at once when the service is stopped."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.stopping.wait()

    async def cancel_all(self) -> None:
        """Cancel all spawned tasks and wait until they have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


def main(
    service: str,
    about: str,
    settings_class: type[S],
    body: Callable[[S, Service], Awaitable[int]],
    commands: Mapping[str, Command[Any]] | None = None,
) -> None:
    """Run a service, or the one of its `commands` whose flag is given; exits with its code."""
    text = f"{about}\n\nSettings, as environment variables:\n{describe_settings(settings_class)}"
    command, arguments = parse(service, text, commands or {})
    try:
        code = _execute(service, settings_class, body, command, arguments)
    except SettingsError as error:
        for problem in error.problems:
            sys.stderr.write(f"{service}: {problem}\n")
        code = BAD_SETTINGS
    # Threads that hang in a call are daemons, but some interpreters wait for locks that such
    # threads hold. Everything that must be finished is finished here.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _execute(
    service: str,
    settings_class: type[S],
    body: Callable[[S, Service], Awaitable[int]],
    command: Command[Any] | None,
    arguments: argparse.Namespace,
) -> int:
    if command is not None and command.bare:
        restore_default_signals()
        return command.run(None, arguments)
    settings = read(settings_class)
    configure(service, settings.log_level)
    if command is not None:
        restore_default_signals()
        return command.run(settings, arguments)
    return asyncio.run(_run(service, settings, body))


async def _run(service: str, settings: S, body: Callable[[S, Service], Awaitable[int]]) -> int:
    state = Service()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, state, number)
    release_signals()
    setting, port = settings.health_port
    state.web = server.serve(settings.http_host, port, service, state.health, setting)
    log.info("facepipe %s; settings: %s", __version__, format_settings(settings))
    log.info("health and metrics on %s", state.web.url)
    beat = asyncio.create_task(_beat(state.health))
    watch(state.health)
    try:
        code = await body(settings, state)
    except SettingsError:
        raise
    except Exception:
        log.exception("unexpected error, a bug in this program; exiting")
        code = 1
    finally:
        beat.cancel()
        await state.cancel_all()
    log.info("stopped with exit code %d", code)
    return code


async def _beat(health: Health) -> None:
    while True:
        health.beat("main")
        await asyncio.sleep(1)


def _stop(state: Service, number: int) -> None:
    """Ask the loops to stop, and exit the process if they take too long."""
    if state.stopping.is_set():
        return
    log.info("%s: finishing work in progress", signal.Signals(number).name)
    state.stopping.set()

    def give_up() -> None:
        log.error("not finished within %.0f s of the signal; exiting", STOP_WITHIN)
        os._exit(1)

    guard = threading.Timer(STOP_WITHIN - 0.3, give_up)
    guard.daemon = True
    guard.start()
