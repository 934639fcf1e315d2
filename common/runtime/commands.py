"""What a service's program does instead of running: commands, each a flag."""

from __future__ import annotations

import argparse
import dataclasses
import signal
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from common.runtime.signals import release_signals

S = TypeVar("S")


@dataclasses.dataclass(frozen=True)
class Command(Generic[S]):
    """One command.

    about: the flag's help.
    run: is given the settings and all arguments by name; returns the exit code.
    values: what stands behind the flag, once or more, such as FILE; nothing if empty.
    options: further flags that it takes, each with what stands behind it, and its help.
    bare: it needs none of the settings, which need not be right then: `run` is given None.
    """

    about: str
    run: Callable[[S, argparse.Namespace], int]
    values: str = ""
    options: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    bare: bool = False


def parse(
    service: str, about: str, commands: Mapping[str, Command[S]]
) -> tuple[Command[S] | None, argparse.Namespace]:
    """Read the command line: the command that it gives, if any, and all arguments.

    Exits with 2 where it makes no sense, and with 0 after `--help`.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {service}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # argparse of Python 3.11 cannot print an empty group.
    flags = parser.add_mutually_exclusive_group() if commands else parser
    for flag, command in commands.items():
        if command.values:
            flags.add_argument(f"--{flag}", nargs="+", metavar=command.values, help=command.about)
        else:
            flags.add_argument(f"--{flag}", action="store_true", help=command.about)
        for option, (value, meaning) in command.options.items():
            parser.add_argument(f"--{option}", metavar=value, help=meaning)
    arguments = parser.parse_args()
    chosen = None
    for flag, command in commands.items():
        if getattr(arguments, _field(flag)):
            chosen = command
            continue
        for option in command.options:
            if getattr(arguments, _field(option)) is not None:
                parser.error(f"--{option} goes with --{flag}")
    return chosen, arguments


def _field(flag: str) -> str:
    return flag.replace("-", "_")


def restore_default_signals() -> None:
    """A command ends by Ctrl-C, or when nobody reads on (as in `| head`), without a traceback."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    release_signals()
