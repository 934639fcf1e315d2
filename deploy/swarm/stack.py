#!/usr/bin/env python3
"""Makes of what Compose understands what `docker stack deploy` takes: from stdin to stdout.

Swarm reads an older form of the same file. It refuses `name`, `mem_limit`, conditions of
`depends_on`, `${A:+b}` and defaults in defaults, has no address for a published port, no owner of a
tmpfs, and no empty secret. Nothing of ours is needed for this but Python 3.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

FORM = "3.9"
# Done otherwise there, or by the images alone. Swarm starts anew whatever ends.
NOT_THERE = ("build", "depends_on", "profiles", "restart")
# There is no such thing in a service; daemon.json has it for the whole engine.
LOST = ("security_opt",)
ANYWHERE = ("", "0.0.0.0", "::")

Json = dict[str, Any]


def stack(config: Json) -> Json:
    """The whole file."""
    secrets = {
        name: _versioned(name, secret)
        for name, secret in config.get("secrets", {}).items()
        if secret["file"] != "/dev/null"
    }
    services = {
        name: _service(name, service, secrets) for name, service in config["services"].items()
    }
    parts = {part: config[part] for part in ("volumes", "networks") if part in config}
    return {"version": FORM, "services": services, "secrets": secrets, **parts}


def _versioned(name: str, secret: Json) -> Json:
    """Swarm's secrets never change: a file with another content is another secret."""
    digest = hashlib.sha256(Path(secret["file"]).read_bytes()).hexdigest()[:12]
    return {"file": secret["file"], "name": f"{name}-{digest}"}


def _service(name: str, service: Json, secrets: Json) -> Json:
    dropped = (*NOT_THERE, *LOST, "mem_limit", "pids_limit", "tmpfs")
    made = {key: value for key, value in service.items() if key not in dropped}
    made = {key: value for key, value in made.items() if value is not None}
    made["environment"] = {
        key: value for key, value in service.get("environment", {}).items() if value is not None
    }
    made["secrets"] = [one for one in service.get("secrets", ()) if one["source"] in secrets]
    made["volumes"] = [*service.get("volumes", ()), *map(_memory, service.get("tmpfs", ()))]
    made["ports"] = [_port(one) for one in service.get("ports", ()) if _published(name, one)]
    deploy = made.setdefault("deploy", {})
    deploy["resources"] = {
        "limits": {"memory": service["mem_limit"], "pids": service["pids_limit"]}
    }
    return made


def _memory(text: str) -> Json:
    """`/tmp:size=16m,mode=1777` in the longer form, which leaves the mode at that."""
    path, _, options = text.partition(":")
    sizes = [one.removeprefix("size=") for one in options.split(",") if one.startswith("size=")]
    return {"type": "tmpfs", "target": path, "tmpfs": {"size": _bytes(sizes[0])}}


def _bytes(size: str) -> int:
    return int(size.removesuffix("m")) * 1024 * 1024


def _published(name: str, port: Json) -> bool:
    """Whether it may be: Swarm would publish it on every address, whatever is asked for."""
    anywhere = port.get("host_ip", "") in ANYWHERE
    if not anywhere:
        where = f"{port['host_ip']}:{port['published']}"
        sys.stderr.write(f"stack: Swarm cannot publish {name} on {where} alone: left out\n")
    return anywhere


def _port(port: Json) -> Json:
    found = {key: port[key] for key in ("target", "protocol", "mode") if key in port}
    return {**found, "published": int(port["published"])}


if __name__ == "__main__":
    json.dump(stack(json.load(sys.stdin)), sys.stdout, indent=1)
