"""The settings of a service that reaches the bucket, beside those that all services have."""

from __future__ import annotations

import dataclasses
import re
import urllib.parse
from collections.abc import Iterator

from common.protocol.keys import DEFAULT_TEMPLATE, template
from common.service import ServiceSettings
from common.settings import setting

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?|[0-9a-f:.]*:[0-9a-f:.]*")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")


def url(value: str) -> str:
    if not _sound(value):
        raise ValueError(
            "must be a URL such as https://s3.eu-de.cloud-object-storage.appdomain.cloud"
        )
    return value


def _sound(value: str) -> bool:
    """Would the SDK and requests take this URL? They find out with their first request only."""
    try:
        parts = urllib.parse.urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and _HOST_NAME.fullmatch(host) is not None
        and port != 0
        and not {*"@?# \t\r\n"} & {*value}
    )


def bucket(value: str) -> str:
    if not _BUCKET.fullmatch(value):
        raise ValueError("must be 3 to 63 letters, digits, dots and hyphens")
    return value


def credential(value: str) -> str:
    if not re.fullmatch(r"[!-~]+", value):
        raise ValueError("must be printable ASCII without blanks, for it goes into HTTP headers")
    return value


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoreSettings(ServiceSettings):
    endpoint: str = setting("COS_ENDPOINT", url, "URL of the S3 endpoint of the bucket")
    bucket: str = setting("COS_BUCKET", bucket, "name of the bucket; it must be there")
    api_key: str = setting(
        "COS_API_KEY",
        credential,
        "IAM: API key of the service credentials",
        default="",
        secret=True,
    )
    instance_crn: str = setting(
        "COS_INSTANCE_CRN", credential, "IAM: CRN of the Object Storage instance", default=""
    )
    auth_endpoint: str = setting(
        "COS_AUTH_ENDPOINT",
        url,
        "IAM: URL of the token service",
        default="https://iam.cloud.ibm.com/identity/token",
    )
    access_key_id: str = setting(
        "COS_ACCESS_KEY_ID", credential, "HMAC: access key id", default="", secret=True
    )
    secret_access_key: str = setting(
        "COS_SECRET_ACCESS_KEY", credential, "HMAC: secret access key", default="", secret=True
    )
    key_template: str = setting(
        "KEY_TEMPLATE",
        template,
        "key of an object, from {device} {camera} {date} {hour} {unix_ms} {id}",
        default=DEFAULT_TEMPLATE,
    )

    @property
    def hmac(self) -> bool:
        return bool(self.access_key_id)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if bool(self.access_key_id) != bool(self.secret_access_key):
            yield "COS_ACCESS_KEY_ID and COS_SECRET_ACCESS_KEY belong together: set both"
        if self.api_key and self.access_key_id:
            yield "COS_API_KEY (IAM) and COS_ACCESS_KEY_ID (HMAC) are both set: choose one"
        if not self.api_key and not self.access_key_id and not self.secret_access_key:
            yield (
                "no credentials: set COS_API_KEY (IAM), or COS_ACCESS_KEY_ID and"
                " COS_SECRET_ACCESS_KEY (HMAC); each also as a file, by NAME_FILE"
            )
        if self.api_key and _in_the_open(self.endpoint):
            yield "COS_ENDPOINT must be https with COS_API_KEY: a token is not sent in the open"
        if self.api_key and _in_the_open(self.auth_endpoint):
            yield "COS_AUTH_ENDPOINT must be https: an API key is not sent in the open"


def _in_the_open(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1")
