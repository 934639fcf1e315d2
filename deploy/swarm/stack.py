#!/usr/bin/env python3
"""Makes of what Compose understands what `docker stack deploy` takes: from stdin to stdout.

Swarm reads an older form of the same file. It refuses `name`, `mem_limit`, conditions of
`depends_on`, `${A:+b}` and defaults in defaults, has no address for a published port, no owner of a
tmpfs, and no empty secret. This needs only Python 3.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

FORM = "3.9"
# Swarm does these differently, or the images alone do them. Swarm restarts whatever exits.
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
    volumes = dict(config["volumes"])
    services = {
        name: _service(name, service, secrets, volumes)
        for name, service in config["services"].items()
    }
    parts = {"secrets": secrets, "volumes": volumes, "networks": config["networks"]}
    return {"version": FORM, "services": services, **parts}


def _versioned(name: str, secret: Json) -> Json:
    """Swarm's secrets never change: a file with another content is another secret."""
    digest = hashlib.sha256(Path(secret["file"]).read_bytes()).hexdigest()[:12]
    return {"file": secret["file"], "name": f"{name}-{digest}"}


def _service(name: str, service: Json, secrets: Json, volumes: Json) -> Json:
    dropped = (*NOT_THERE, *LOST, "mem_limit", "pids_limit", "tmpfs")
    made = {key: value for key, value in service.items() if key not in dropped}
    made = {key: value for key, value in made.items() if value is not None}
    made["environment"] = {
        key: value for key, value in service.get("environment", {}).items() if value is not None
    }
    made["secrets"] = [one for one in service.get("secrets", ()) if one["source"] in secrets]
    memory = [_memory(name, text, volumes) for text in service.get("tmpfs", ())]
    made["volumes"] = [*service.get("volumes", ()), *memory]
    made["ports"] = [_port(one) for one in service.get("ports", ()) if _published(name, one)]
    deploy = made.setdefault("deploy", {})
    deploy["resources"] = {
        "limits": {"memory": service["mem_limit"], "pids": service["pids_limit"]}
    }
    return made


def _memory(service: str, text: str, volumes: Json) -> Json:
    """`/tmp:size=16m,mode=1777` as Swarm has it: of the mode that the path has in the image, and
    root's. With another owner it is a volume, which may be in memory, too.
    """
    path, _, options = text.partition(":")
    words = dict(option.split("=") for option in options.split(","))
    if "uid" not in words:
        size = int(words["size"].removesuffix("m")) * 1024 * 1024
        return {"type": "tmpfs", "target": path, "tmpfs": {"size": size}}
    name = service + path.replace("/", "-")
    volumes[name] = {"driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": options}}
    return {"type": "volume", "source": name, "target": path}


def _published(name: str, port: Json) -> bool:
    """Whether it may be: Swarm would publish it on every address, whatever is asked for."""
    anywhere = port.get("host_ip", "") in ANYWHERE
    if not anywhere:
        where = f"{port['host_ip']}:{port['published']}"
        sys.stderr.write(f"stack: Swarm cannot publish {name} only on {where}: omitted\n")
    return anywhere


def _port(port: Json) -> Json:
    found: Json = {key: port[key] for key in ("target", "protocol", "mode") if key in port}
    return found | {"published": int(port["published"])}


if __name__ == "__main__":
    json.dump(stack(json.load(sys.stdin)), sys.stdout, indent=1)
