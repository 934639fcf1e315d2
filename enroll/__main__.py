"""The command line: `python -m enroll --help`."""

from __future__ import annotations

import argparse
import sys

import enroll
from common import __version__
from common.settings import SettingsError, describe_settings, read
from enroll import commands
from enroll.settings import EnrollSettings
from enroll.talk import NotTold
from enroll.words import say

USAGE = "python -m enroll NAME | revoke NAME | list | renew"
HELP = """
  NAME          enrol the device NAME, or renew it: its bundle goes to stdout, so
                end the command with > NAME.pem; at first use, everything that
                the broker and our services need is made, too
  revoke NAME   cut the device off, its open connection, too
  list          show who has a certificate, since when and until when
  renew         give the authority, the broker and our services new certificates
                now; else each run does so when they are near their end

Exit codes: 0 done; 1 the running broker could not be told; 2 something to mend.

Settings, as environment variables:
"""


def main() -> int:
    words = _words()
    try:
        settings = read(EnrollSettings)
        match words:
            case ["list"]:
                commands.show(settings)
            case ["renew"]:
                commands.renew(settings)
            case ["revoke", device]:
                commands.revoke(settings, device)
            case [device]:
                commands.enrol(settings, device)
    except SettingsError as error:
        for problem in error.problems:
            say(problem)
        return 2
    except NotTold as error:
        say(f"{error}")
        say(f"all is written down for its next start: mend that, and run `{words[0]}` again,")
        say("or restart the broker")
        return 1
    except KeyboardInterrupt:
        say("broken off; it can be run again")
        return 130
    return 0


def _words() -> list[str]:
    parser = argparse.ArgumentParser(
        usage=USAGE,
        description=f"{enroll.__doc__}\n{HELP}{describe_settings(EnrollSettings)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=True,
    )
    parser.add_argument("-V", "--version", action="version", version=f"facepipe {__version__}")
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    words: list[str] = parser.parse_args().words
    known = {("list",), ("renew",)}
    named = len(words) == 1 or (len(words) == 2 and words[0] == "revoke")
    if tuple(words) not in known and (not named or words == ["revoke"]):
        parser.error("say one of these")
    return words


if __name__ == "__main__":
    sys.exit(main())
