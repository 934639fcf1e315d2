"""A store that has lifecycle rules: moto's server. It keeps what it is given in memory."""

from __future__ import annotations

import sys
from typing import Any

import boto3
from botocore.exceptions import ClientError

from testing.host.wait import free_port, listening, until
from testing.services.process import Process

BUCKET = "faces"


class Moto(Process):
    """Use in `with`; `client` is somebody else's, who knows all of S3."""

    def __init__(self) -> None:
        self.port = free_port()
        super().__init__([sys.executable, "-m", "moto.server", "-p", str(self.port)])

    def start(self) -> None:
        super().start()
        until(lambda: listening(self.port), 60, "moto listens")
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id="someone",
            aws_secret_access_key="else",
            region_name="us-east-1",
        )
        self.client.create_bucket(Bucket=BUCKET)

    @property
    def settings(self) -> dict[str, str]:
        return {
            "COS_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "COS_BUCKET": BUCKET,
            "COS_ACCESS_KEY_ID": "key-id",
            "COS_SECRET_ACCESS_KEY": "secret",
        }

    def rules(self) -> list[dict[str, Any]]:
        try:
            answer = self.client.get_bucket_lifecycle_configuration(Bucket=BUCKET)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "NoSuchLifecycleConfiguration"  # noqa: PT017
            return []
        return list(answer["Rules"])

    def set_rules(self, *rules: dict[str, Any]) -> None:
        self.client.put_bucket_lifecycle_configuration(
            Bucket=BUCKET, LifecycleConfiguration={"Rules": list(rules)}
        )

    def stored(self) -> list[str]:
        return [
            one["Key"] for one in self.client.list_objects_v2(Bucket=BUCKET).get("Contents", ())
        ]
