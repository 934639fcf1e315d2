"""The command line: `python -m enroll --help`."""

from __future__ import annotations

import argparse
import sys

import enroll
from common import __version__
from common.settings import SettingsError, describe_settings, read
from enroll import commands
from enroll.settings import EnrollSettings
from enroll.talk import BrokerNotUpdated
from enroll.words import say

USAGE = "python -m enroll [--pem] NAME | revoke NAME | list | renew | retire"
HELP = """
  NAME          enrol or renew the device NAME and write all that it needs to
                stdout, as a tar file: end the command with > NAME.tar. The first
                run also creates everything that the broker and the services need
  --pem NAME    the same, but write only the bundle: authority, certificate and
                key, as other MQTT clients take them
  revoke NAME   cut the device off and end its open connection
  list          show who has a certificate, since when and until when
  renew         renew the certificates of the authorities, the broker and the
                services now; every run renews those that expire soon
  retire        of each device and service that has been renewed since, revoke
                the old certificate that the root signed

Exit codes: 0 done; 1 the running broker could not be updated; 2 something to fix.

Settings, as environment variables:
"""


def main() -> int:
    arguments = _parse()
    words: list[str] = arguments.words
    try:
        settings = read(EnrollSettings)
        match words:
            case ["list"]:
                commands.show(settings)
            case ["renew"]:
                commands.renew(settings)
            case ["retire"]:
                commands.retire(settings)
            case ["revoke", device]:
                commands.revoke(settings, device)
            case [device]:
                commands.enrol(settings, device, arguments.pem)
    except SettingsError as error:
        for problem in error.problems:
            say(problem)
        return 2
    except BrokerNotUpdated as error:
        say(f"{error}")
        say(f"everything is recorded for its next start: fix this and run `{words[0]}` again,")
        say("or restart the broker")
        return 1
    except KeyboardInterrupt:
        say("interrupted; you can run it again")
        return 130
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        usage=USAGE,
        description=f"{enroll.__doc__}\n{HELP}{describe_settings(EnrollSettings)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=True,
    )
    parser.add_argument("-V", "--version", action="version", version=f"facepipe {__version__}")
    parser.add_argument("--pem", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    words = arguments.words
    known = {("list",), ("renew",), ("retire",)}
    named = len(words) == 1 or (len(words) == 2 and words[0] == "revoke")
    if tuple(words) not in known and (not named or words == ["revoke"]):
        parser.error("use one of these commands")
    if arguments.pem and (len(words) != 1 or tuple(words) in known):
        parser.error("--pem goes with the NAME of a device")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
