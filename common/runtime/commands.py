"""The command line: flags that make a service's program do something other than run."""

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

    about: the flag's help text.
    run: takes the settings and the parsed arguments; returns the exit code.
    values: placeholder of the flag's values (one or more), such as FILE; empty if it takes none.
    options: further flags of this command, each with its placeholder and help text.
    bare: it needs no settings, so these may be invalid; `run` gets None in their place.
    optional: the flag takes one value or none; "" stands for none.
    """

    about: str
    run: Callable[[S, argparse.Namespace], int]
    values: str = ""
    options: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    bare: bool = False
    optional: bool = False


def parse(
    service: str, about: str, commands: Mapping[str, Command[S]]
) -> tuple[Command[S] | None, argparse.Namespace]:
    """Parse the command line; returns the command, if there is one, and all arguments.

    Exits with 2 on a usage error, and with 0 after `--help`.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {service}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # argparse of Python 3.11 cannot print an empty group.
    flags = parser.add_mutually_exclusive_group() if commands else parser
    for flag, command in commands.items():
        if command.optional:
            flags.add_argument(
                f"--{flag}", nargs="?", const="", metavar=command.values, help=command.about
            )
        elif command.values:
            flags.add_argument(f"--{flag}", nargs="+", metavar=command.values, help=command.about)
        else:
            flags.add_argument(f"--{flag}", action="store_true", help=command.about)
        for option, (value, meaning) in command.options.items():
            parser.add_argument(f"--{option}", metavar=value, help=meaning)
    arguments = parser.parse_args()
    chosen = None
    for flag, command in commands.items():
        if getattr(arguments, _field(flag)) not in (None, False):
            chosen = command
            continue
        for option in command.options:
            if getattr(arguments, _field(option)) is not None:
                parser.error(f"--{option} only works with --{flag}")
    return chosen, arguments


def _field(flag: str) -> str:
    return flag.replace("-", "_")


def restore_default_signals() -> None:
    """Let Ctrl-C, or a closed pipe as in `| head`, end a command without a traceback."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    release_signals()
