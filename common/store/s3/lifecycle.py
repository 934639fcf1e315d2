"""Our rule in the bucket's lifecycle configuration, among those of the operator, which stay.

A configuration can only be written as a whole. What the SDK makes of it loses whatever its model
does not know, such as the rules of other stores for old versions; so what is read and written here
is the XML itself. (The SDK still finds, signs and sends the requests.)
"""

from __future__ import annotations

import threading
import xml.etree.ElementTree as ET
from typing import Any

from common.store.base import Observer, StoreError
from common.store.s3.endpoint import Endpoint

RULE = "facepipe-retention"  # the ID of our rule
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_ROOT = "LifecycleConfiguration"
ET.register_namespace("", _NAMESPACE)


class Lifecycle:
    """Of one bucket."""

    def __init__(self, endpoint: Endpoint, bucket: str, observer: Observer) -> None:
        self._endpoint = endpoint
        self._bucket = bucket
        self._observer = observer
        self._one = threading.Lock()
        self._xml = b""  # as it was read, or as it is to be written
        events = endpoint.client.meta.events
        events.register("after-call.s3.GetBucketLifecycleConfiguration", self._on_read)
        events.register("before-call.s3.PutBucketLifecycleConfiguration", self._on_write)

    def keep(self, days: int) -> bool:
        """See that our rule is there, or with 0 days that it is not; False if the store has none.

        Raises:
            StoreError: with the reason.
        """
        with self._one:
            rules = self._read()
            if rules is None:
                return not days
            if days_of_our_rule(rules) == (days or None):
                return True
            try:
                self._write(with_our_rule(rules, days))
            except StoreError as error:
                if error.reason in ("server", "not_s3"):  # 501, 405: it knows no such request
                    return False
                raise
            # Some stores take this for another request, and say yes.
            written = self._read()
            return written is not None and days_of_our_rule(written) == (days or None)

    def days(self) -> int | None:
        """What our rule says: 0 without one, -1 where it was changed; None: the store has no rules.

        Raises:
            StoreError: with the reason.
        """
        with self._one:
            rules = self._read()
        return None if rules is None else days_of_our_rule(rules) or 0

    def _read(self) -> ET.Element | None:
        """The configuration; None from a store that has none."""
        self._observer.request("lifecycle")
        self._xml = b""
        try:
            with self._endpoint.translate_errors(
                "GET of its lifecycle", "read the lifecycle of", "missing"
            ):
                self._endpoint.client.get_bucket_lifecycle_configuration(Bucket=self._bucket)
            rules = ET.fromstring(self._xml)  # noqa: S314 - as above
        except StoreError as error:
            if error.reason != "missing":  # NoSuchLifecycleConfiguration
                raise
            return ET.Element(f"{{{_NAMESPACE}}}{_ROOT}")
        except ET.ParseError as error:
            raise StoreError("not_s3", f"the lifecycle is not valid XML: {error}") from None
        # A store without lifecycles may answer something else, such as a listing. To write to that
        # one would be to overwrite what could not be read.
        return rules if _local_name(rules) == _ROOT else None

    def _write(self, rules: ET.Element) -> None:
        self._observer.request("lifecycle")
        client = self._endpoint.client
        with self._endpoint.translate_errors("PUT of its lifecycle", "set the lifecycle of"):
            if len(rules):
                self._xml = ET.tostring(rules)
                stand_in = {"Status": "Enabled", "Filter": {"Prefix": ""}}
                client.put_bucket_lifecycle_configuration(
                    Bucket=self._bucket, LifecycleConfiguration={"Rules": [stand_in]}
                )
            else:
                client.delete_bucket_lifecycle(Bucket=self._bucket)

    def _on_read(self, http_response: Any, **_: Any) -> None:
        self._xml = http_response.content

    def _on_write(self, params: dict[str, Any], **_: Any) -> None:
        params["body"] = self._xml


def with_our_rule(rules: ET.Element, days: int) -> ET.Element:
    """The rules with ours, the last one, in their own namespace; without it for 0 days."""
    for rule in _our_rules(rules):
        rules.remove(rule)
    if days:
        space = rules.tag.removesuffix(_ROOT)
        rule = ET.SubElement(rules, f"{space}Rule")
        ET.SubElement(rule, f"{space}ID").text = RULE
        ET.SubElement(rule, f"{space}Status").text = "Enabled"
        ET.SubElement(ET.SubElement(rule, f"{space}Filter"), f"{space}Prefix").text = ""
        ET.SubElement(ET.SubElement(rule, f"{space}Expiration"), f"{space}Days").text = str(days)
    return rules


def days_of_our_rule(rules: ET.Element) -> int | None:
    """After how many days our rule deletes; None without one, -1 where it is not as we make it."""
    ours = _our_rules(rules)
    if not ours:
        return None
    days = _text_at(ours[0], "Expiration", "Days")
    prefix = _text_at(ours[0], "Filter", "Prefix") or _text_at(ours[0], "Prefix")
    sound = _text_at(ours[0], "Status") == "Enabled" and not prefix and days.isdecimal()
    return int(days) if sound and len(ours) == 1 else -1


def _our_rules(rules: ET.Element) -> list[ET.Element]:
    return [rule for rule in rules if _text_at(rule, "ID") == RULE]


def _text_at(element: ET.Element, *path: str) -> str:
    """The text at a path of names; some stores answer without a namespace."""
    for name in path:
        found = next((child for child in element if _local_name(child) == name), None)
        if found is None:
            return ""
        element = found
    return element.text or ""


def _local_name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
