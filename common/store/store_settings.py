"""The settings of a service that reaches the bucket, beside those that all services have."""

from __future__ import annotations

import dataclasses
import re
import urllib.parse
from collections.abc import Iterator

from common.protocol.keys import DEFAULT_TEMPLATE, parse_template
from common.service_settings import ServiceSettings
from common.settings import setting
from common.store import registry
from common.store.base import REGION, StoreOptions

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?|[0-9a-f:.]*:[0-9a-f:.]*")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")


def endpoint(value: str) -> str:
    """A URL whose scheme is that of a known kind of store."""
    scheme = value.partition(":")[0].lower()
    if scheme in ("http", "https"):
        return url(value)
    if scheme not in registry.STORES or "://" not in value:
        raise ValueError(
            "must be a URL such as https://s3.eu-de.cloud-object-storage.appdomain.cloud"
        )
    return value


def url(value: str) -> str:
    if not _is_sound_url(value):
        raise ValueError(
            "must be a URL such as https://s3.eu-de.cloud-object-storage.appdomain.cloud"
        )
    return value


def _is_sound_url(value: str) -> bool:
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


def region(value: str) -> str:
    if not REGION.fullmatch(value):
        raise ValueError("must be letters, digits and hyphens, such as eu-central-1")
    return value


def credential(value: str) -> str:
    if not re.fullmatch(r"[!-~]+", value):
        raise ValueError("must be printable ASCII without spaces, as it is sent in HTTP headers")
    return value


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoreSettings(ServiceSettings):
    endpoint: str = setting(
        "COS_ENDPOINT",
        endpoint,
        "URL of the bucket's S3 endpoint; or file:///path, a folder with one folder per bucket",
    )
    bucket: str = setting("COS_BUCKET", bucket, "name of the bucket; it must exist")
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
    region: str = setting(
        "COS_REGION",
        region,
        "HMAC: region for signatures; most stores accept any region, or name the right one, which"
        " is then used",
        default="",
    )
    key_template: str = setting(
        "KEY_TEMPLATE",
        parse_template,
        "template of object keys, with the fields {device} {camera} {date} {hour} {unix_ms} {id}",
        default=DEFAULT_TEMPLATE,
    )

    def store_options(self, connections: int) -> StoreOptions:
        """connections: requests to the store under way at a time."""
        return StoreOptions(
            endpoint=self.endpoint,
            bucket=self.bucket,
            api_key=self.api_key,
            instance_crn=self.instance_crn,
            auth_endpoint=self.auth_endpoint,
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
            region=self.region,
            connections=connections,
        )

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        # Of a bad endpoint the kind is not known; most are S3's.
        yield from registry.load(self.endpoint or "https:").find_problems(self.store_options(1))
