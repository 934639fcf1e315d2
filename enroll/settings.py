"""The settings of enrolment."""

from __future__ import annotations

import dataclasses
import ipaddress
import re

from common.settings import host, integer, setting, text

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# The last label begins with a letter: 300.1.2.3 is no name, but an address gone wrong.
_NAME = re.compile(rf"(?=.{{1,253}}\Z)({_LABEL}\.)*[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?")


def hosts(value: str) -> tuple[str, ...]:
    """Names and addresses by which devices may know the server; RFC 9525, section 6."""
    parts = [part.strip().lower().rstrip(".") for part in value.split(",")]
    return tuple(dict.fromkeys(part if _NAME.fullmatch(part) else _address(part) for part in parts))


def _address(text: str) -> str:
    """As certificates spell it: an IPv6 address has many spellings."""
    try:
        if "%" in text:  # a zone means nothing to another machine
            raise ValueError
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("must be host names or addresses, separated by commas") from None


def _days(name: str, meaning: str, default: int) -> int:
    days: int = setting(name, integer(1, 36500), meaning, default=default)
    return days


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnrollSettings:
    public_host: tuple[str, ...] = setting(
        "PUBLIC_HOST",
        hosts,
        "host names or addresses at which devices reach the server, such as vsi.example.com",
    )
    public_port: int = setting(
        "PUBLIC_PORT",
        integer(1, 65535),
        "port of the cloud broker at which devices reach the server",
        default=8883,
    )
    authority_dir: str = setting(
        "AUTHORITY_DIR",
        text,
        "folder of the authorities' keys and the ledger",
        default="/authority",
    )
    broker_dir: str = setting(
        "BROKER_IDENTITY_DIR",
        text,
        "folder of the cloud broker's identity",
        default="/identities/broker",
    )
    processor_dir: str = setting(
        "PROCESSOR_IDENTITY_DIR",
        text,
        "folder of the processor's identity",
        default="/identities/processor",
    )
    gallery_dir: str = setting(
        "GALLERY_IDENTITY_DIR",
        text,
        "folder of the gallery's identity",
        default="/identities/gallery",
    )
    doctor_dir: str = setting(
        "DOCTOR_IDENTITY_DIR",
        text,
        "folder of the doctor's identity; none is made without it",
        default="",
    )
    broker_host: str = setting(
        "BROKER_HOST",
        host,
        "host name of the cloud broker, as enrolment reaches it",
        default="broker",
    )
    broker_port: int = setting(
        "BROKER_PORT", integer(1, 65535), "port of the cloud broker for the services", default=8884
    )
    device_days: int = _days("DEVICE_DAYS", "days that a device's certificate is valid", 365)
    # A third of it, below which each run renews, is as long as a device goes without a run.
    service_days: int = _days(
        "SERVICE_DAYS", "days that the certificates of the broker and the services are valid", 1095
    )
    authority_days: int = _days(
        "AUTHORITY_DAYS", "days that the authorities' own certificates are valid", 3650
    )
