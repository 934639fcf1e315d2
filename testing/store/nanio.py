"""A real S3 server on loopback that checks signatures: nanio, over a plain folder."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from testing.host.wait import free_port, listening, until
from testing.services.process import Process

BUCKET = "faces"
KEY_ID, SECRET = "test-key-id", "test-secret"


def reached_at(endpoint: str, key_id: str = "id", secret: str = "secret") -> dict[str, str]:
    """The settings of a service for the store at this URL."""
    return {
        "COS_ENDPOINT": endpoint,
        "COS_BUCKET": BUCKET,
        "COS_ACCESS_KEY_ID": key_id,
        "COS_SECRET_ACCESS_KEY": secret,
    }


class Store(Process):
    """`objects()` tells what the bucket holds."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.bucket = folder / "s3" / BUCKET
        self.bucket.mkdir(parents=True)
        command = [str(Path(sys.executable).with_name("nanio")), "serve", "--no-access-log"]
        command += ["--data-dir", str(folder / "s3"), "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--log-level", "warning"]
        super().__init__(command, {"NANIO_ACCESS_KEY": KEY_ID, "NANIO_SECRET_KEY": SECRET})

    def start(self) -> None:
        # What it was writing when it was killed: it would refuse that key ever after.
        for left in self.bucket.rglob("*.tmp"):
            left.unlink()
        super().start()
        until(lambda: listening(self.port), what="the store listens")

    @property
    def settings(self) -> dict[str, str]:
        """The processor's settings for this store."""
        return reached_at(f"http://127.0.0.1:{self.port}", KEY_ID, SECRET)

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Key to bytes of the faces, or of what is under `prefix`."""
        found = {}
        for path in self._files():
            key = str(path.relative_to(self.bucket))
            if key.startswith((".nanio-meta/", ".facepipe/")):
                continue
            if path.name.startswith(".tmp."):  # an object that is being written
                continue
            if key.startswith(prefix) and (prefix or not key.startswith("rejected/")):
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    found[key] = path.read_bytes()
        return found

    def _files(self) -> Iterator[Path]:
        for folder, _, names in os.walk(self.bucket):  # passes over a folder that goes meanwhile
            yield from (Path(folder, name) for name in names)

    def metadata(self, key: str) -> dict[str, Any]:
        """The user metadata of an object, and its content_type."""
        path = self.bucket / ".nanio-meta" / f"{key}.json"
        until(path.exists, what=f"{key} has its metadata")  # written after the object
        facts = json.loads(path.read_text())
        named = {n.removeprefix("x-amz-meta-"): v for n, v in facts["user_metadata"].items()}
        return {**named, "content_type": facts["content_type"]}
