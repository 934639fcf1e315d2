"""The files of alerts, and Prometheus's own tool that checks them."""

from __future__ import annotations

import subprocess

from testing.services.prometheus import FOLDER

SIDES = ("cloud", "edge")
RULES = {name: FOLDER / "alerts" / f"{name}.yml" for name in ("all", *SIDES)}


def promtool(*words: str, given: bytes = b"") -> str:
    """What promtool prints; fails the test if promtool objects."""
    done = subprocess.run(
        ["promtool", *words], check=False, capture_output=True, input=given, timeout=60
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said
