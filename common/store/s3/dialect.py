"""How a store differs from IBM's and Amazon's, learned from the requests that it refuses.

- A region of its own in the signature: Garage, Wasabi, and Amazon outside us-east-1. The store
  names it in its error or in a header, and the request is sent again.
- Content-MD5 in place of `x-amz-checksum-...`: Ceph before Reef, Swift and some appliances answer
  501 or 400 to a header that they do not know. If the request is taken with Content-MD5, all others
  have it from then on.
"""

from __future__ import annotations

import logging
from typing import Any

from common.store.base import REGION, content_md5
from common.store.s3.store_errors import Answer, to_answer

log = logging.getLogger(__name__)

_MD5 = "facepipe_md5"  # key of a request's context: the answer that made it carry Content-MD5


class Dialect:
    """May be shared by threads.

    region: that signatures name, "" where none are made. md5: whether requests carry Content-MD5.
    """

    def __init__(self, region: str) -> None:
        self.region = region
        self.md5 = False

    def learn_region(self, answer: Answer) -> None:
        """Sign for the region that the answer names, if it does."""
        region = answer.region
        if self.region and region != self.region and REGION.fullmatch(region):
            log.warning("the store expects signatures for region %s: set COS_REGION to it", region)
            self.region = region

    def use_md5(self, refusal: Answer) -> None:
        """Send Content-MD5 from now on: the store took it after this refusal."""
        if not self.md5:
            self.md5 = True
            text = "from now on, requests carry Content-MD5, because x-amz-checksum was refused"
            log.warning("%s (%d %s)", text, refusal.status, refusal.code)

    def register(self, events: Any) -> None:
        """Have the SDK's client, whose events these are, speak this dialect."""
        events.register_first("needs-retry.s3", self._on_answer)
        events.register("before-endpoint-resolution.s3", self._set_region)
        events.register("before-call.s3", self._set_checksum)
        events.register_last("before-parameter-build.s3", _end_redirects)

    def _on_answer(self, request_dict: dict[str, Any], response: Any, **_: Any) -> int | None:
        """0 to send the request again at once. The SDK sends it again for another region itself."""
        if response is None:
            return None
        http, parsed = response
        context = request_dict["context"]
        if http.status_code < 300:
            if _MD5 in context:
                self.use_md5(context[_MD5])
            return None
        error = parsed.setdefault("Error", {})
        answer = to_answer(http.status_code, http.headers, error)
        self.learn_region(answer)
        error.pop("Region", None)
        if REGION.fullmatch(answer.region):
            error["Region"] = answer.region  # the SDK looks for it here alone
        if answer.is_about_checksum and _replace_checksum(request_dict):
            context[_MD5] = answer
            return 0
        return None

    def _set_region(self, builtins: dict[str, Any], **_: Any) -> None:
        if self.region:
            builtins["AWS::Region"] = self.region

    def _set_checksum(self, params: dict[str, Any], **_: Any) -> None:
        if self.md5:
            _replace_checksum(params)
            params["context"].get("checksum", {}).pop("request_algorithm", None)


def _replace_checksum(request: dict[str, Any]) -> bool:
    """Put Content-MD5 in place of `x-amz-checksum-...`; False if the request has no such header."""
    headers, body = request["headers"], request["body"]
    names = [name for name in headers if name.lower().startswith("x-amz-checksum-")]
    for name in [*names, "x-amz-sdk-checksum-algorithm"]:
        headers.pop(name, None)
    if not isinstance(body, bytes):  # the SDK makes a file of some bodies
        body.seek(0)
        body = body.read()
        request["body"].seek(0)
    if body:
        headers["Content-MD5"] = content_md5(body)
    return bool(names)


def _end_redirects(model: Any, context: dict[str, Any], **_: Any) -> None:
    """The SDK asks for the bucket's region by a HEAD wherever an answer is a redirect, also where
    that is the answer to such a HEAD, until Python's stack is full."""
    if model.name == "HeadBucket":
        context["s3_redirect"]["redirected"] = True
