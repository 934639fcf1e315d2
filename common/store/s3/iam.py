"""IBM Cloud IAM: an API key is exchanged for a token that lives for an hour.

The SDK's own token manager lets threads go on without a token while another one fetches it (they
then send "Bearer None"), and reckons with the wall clock; see docs/decisions/0003-iam-tokens.md.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import requests
from ibm_botocore.credentials import TokenManager

from common.store.base import StoreError

log = logging.getLogger(__name__)

TIMEOUT = 5.0  # seconds for one request to the token service
REFRESH_AT = 0.75  # of a token's life


class Tokens(TokenManager):  # type: ignore[misc]  # the SDK has no types
    """Returns a valid token to the SDK, and fetches one when needed. May be shared by threads."""

    def __init__(self, api_key: str, endpoint: str) -> None:
        self._api_key = api_key
        self._endpoint = endpoint
        self._fetching = threading.Lock()
        self._token = ""
        self._refresh_after = 0.0
        self._expires = 0.0

    def get_token(self) -> str:
        """The token. If none is valid, one thread fetches it and the others wait.

        Raises:
            StoreError: `token` (the service does not answer) or `denied` (it rejects the API key).
        """
        now = time.monotonic()
        if now < self._refresh_after:
            return self._token
        if now < self._expires:
            self._refresh_early()
            return self._token
        with self._fetching:
            if time.monotonic() >= self._expires:
                self._fetch()
            return self._token

    def set_from_config(self, _config: Any) -> None:
        """The SDK calls this too; `requests` reads the proxies from the environment itself."""

    def forget(self) -> None:
        """Fetch another token for the next request: the store did not accept this one."""
        self._expires = self._refresh_after = 0.0

    def _refresh_early(self) -> None:
        """Fetch a token in one thread, while the others use the old one, which is still valid."""
        if not self._fetching.acquire(blocking=False):
            return
        try:
            self._fetch()
        except StoreError as error:
            log.warning("could not refresh the IAM token: %s; the old one is still valid", error)
            self._refresh_after = min(self._expires, time.monotonic() + TIMEOUT)
        finally:
            self._fetching.release()

    def _fetch(self) -> None:
        # https://cloud.ibm.com/docs/account?topic=account-iamtoken_from_apikey
        form = {
            "grant_type": "urn:ibm:params:oauth:grant-type:apikey",
            "apikey": self._api_key,
        }
        requested_at = time.monotonic()  # a token's life may begin at any time after this
        try:
            response = requests.post(
                self._endpoint,
                data=form,
                headers={"Accept": "application/json"},
                timeout=TIMEOUT,
            )
            answer: Any = response.json()
        except requests.RequestException as error:
            text = f"no token from {self._endpoint}: {_error_name(error)}"
            raise StoreError("token", text) from None
        if response.status_code in (400, 401, 403):
            message = str(answer.get("errorMessage", "")) if isinstance(answer, dict) else ""
            raise StoreError("denied", f"IAM does not accept COS_API_KEY: {message or 'refused'}")
        try:
            if response.status_code != 200:
                raise ValueError(response.status_code)
            token, life = str(answer["access_token"]), float(answer["expires_in"])
        except (KeyError, TypeError, ValueError):
            text = f"{self._endpoint} answered {response.status_code} without a token"
            raise StoreError("token", text) from None
        self._token = token
        self._refresh_after, self._expires = requested_at + life * REFRESH_AT, requested_at + life


def _error_name(error: Exception) -> str:
    return type(error).__name__
