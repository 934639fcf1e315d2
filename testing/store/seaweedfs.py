"""A real distributed object store: SeaweedFS, all of its servers in one process."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from testing.host.wait import free_port, listening, until
from testing.services.process import Process
from testing.store.nanio import BUCKET, KEY_ID, SECRET, reached_at


class SeaweedFS(Process):
    """Use in `with`; its bucket is there."""

    def __init__(self, folder: Path) -> None:
        data = folder / "weed"
        data.mkdir(parents=True)
        identity = {
            "name": "test",
            "credentials": [{"accessKey": KEY_ID, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}))
        self.port = free_port()
        command = [str(Path(sys.executable).with_name("weed")), "-logtostderr", "server"]
        command += [f"-dir={data}", "-ip=127.0.0.1", "-s3", f"-s3.port={self.port}"]
        command += [f"-s3.config={config}", "-volume.max=20", "-master.volumeSizeLimitMB=64"]
        command += ["-master.telemetry=false"]
        for part in ("master", "volume", "filer"):
            command += [f"-{part}.port={free_port()}", f"-{part}.port.grpc={free_port()}"]
        command += [f"-s3.port.grpc={free_port()}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        super().__init__(command, {})

    def start(self) -> None:
        super().start()
        until(lambda: listening(self.port), 60, "SeaweedFS listens")
        client: Any = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )

        def created() -> bool:
            try:
                client.create_bucket(Bucket=BUCKET)
                client.put_object(Bucket=BUCKET, Key="first", Body=b"x")
            except (BotoCoreError, ClientError):
                return False
            client.delete_object(Bucket=BUCKET, Key="first")
            return True

        until(created, 60, "SeaweedFS takes an object")

    @property
    def settings(self) -> dict[str, str]:
        return reached_at(f"http://127.0.0.1:{self.port}", KEY_ID, SECRET)
