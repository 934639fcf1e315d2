"""`python -m common.runtime.probe`: a container's health check, which asks the service inside it.

Exits with 0 if `/healthz` answers 200, else with 1, and prints the answer or what is wrong. It
imports the standard library alone: importing OpenCV for each check would cost a Jetson a second.
"""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Mapping

TIMEOUT = 5.0  # seconds
ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # wildcard: the address to ask


def ask(environ: Mapping[str, str]) -> tuple[bool, str]:
    """Whether the service is alive, and its answer on one line.

    Reads the service's HTTP_HOST, and METRICS_PORT or else HTTP_PORT. The port must be set, since
    each service has another default.
    """
    host = environ.get("HTTP_HOST", "")
    port = environ.get("METRICS_PORT") or environ.get("HTTP_PORT", "")
    if not port.isdecimal():
        return False, "HTTP_PORT is not set, so there is no address to check"
    connection = http.client.HTTPConnection(ANY.get(host, host), int(port), timeout=TIMEOUT)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        text = answer.read(65536).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return False, f"no answer from {connection.host}:{port}: {error!r}"
    finally:
        connection.close()
    return answer.status == 200, " ".join(text.split())


def main() -> int:
    alive, text = ask(os.environ)
    sys.stdout.write(f"{text}\n")
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(main())
