"""The command line: `python -m doctor --help`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterable

import doctor
from common import __version__, settings_file
from common.settings import SettingsError
from doctor.check import Check, Finding, exit_code, fail, run_checks
from doctor.face import WAIT
from doctor.report import Table, to_json

EPILOG = """
Exit codes: 0 all is well; 1 it works, with warnings; 2 something does not work.

It reads the settings of the services that it checks, as environment variables or from
the file that SETTINGS_FILE names: docs/settings.md.
"""


def main() -> int:
    arguments = _parse()
    table = Table(sys.stdout)
    show = table.show if not arguments.json else lambda *_: None
    try:
        checks = _create_checks(arguments)
    except SettingsError as error:
        findings = _report_problems(error.problems)
        for name, finding in findings.items():
            show(name, finding)
    else:
        findings = asyncio.run(run_checks(checks, show))
    if arguments.json:
        sys.stdout.write(f"{to_json(findings)}\n")
    else:
        table.finish(findings)
    return exit_code(findings.values())


def _report_problems(problems: list[str]) -> dict[str, Finding]:
    names = ("settings", *(f"settings {number}" for number in range(2, len(problems) + 1)))
    findings = (fail(one, "correct it in .env", "settings") for one in problems)
    return dict(zip(names, findings, strict=True))


def _create_checks(arguments: argparse.Namespace) -> Iterable[Check]:
    """The checks of the side that is named or, without a name, that the settings are of."""
    try:
        environ = settings_file.with_settings_file(os.environ)
    except ValueError as error:
        raise SettingsError([str(error)]) from None
    # Each side's modules are in the image of that side alone.
    if (arguments.side or ("server" if environ.get("COS_ENDPOINT") else "jetson")) == "server":
        from doctor.server import create_server

        return create_server(environ, arguments.wait).create_checks()
    from doctor.jetson import create_jetson

    return create_jetson(environ, arguments.wait, arguments.picture).create_checks()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m doctor",
        description=doctor.__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-V", "--version", action="version", version=f"facepipe {__version__}")
    parser.add_argument(
        "side",
        nargs="?",
        choices=("server", "jetson"),
        help="which machine this is (default: the server if COS_ENDPOINT is set)",
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument(
        "--picture",
        metavar="FILE",
        default="",
        help="jetson: where to write a picture of what the camera sees, if no detector runs",
    )
    parser.add_argument(
        "--wait",
        type=float,
        metavar="SECONDS",
        default=WAIT,
        help="how long the receipt of the test face may take (default: %(default)g)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
