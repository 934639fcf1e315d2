"""PUT requests without the SDK, on http.client: the same request for a fraction of the CPU time.

docs/decisions/0016-put.md has the figures. Every other request to the store uses the SDK.
"""

from __future__ import annotations

import http.client
import re
import ssl
import time
import urllib.parse

from common import __version__
from common.store.base import NewObject, StoreError, StoreOptions
from common.store.s3.connections import ConnectError, Connections, Response
from common.store.s3.endpoint import Endpoint
from common.store.s3.signature import Signer
from common.store.s3.store_errors import Answer, parse_error

_NO_HEADER = re.compile("[\0\r\n\x80-\U0010ffff]")


class FastPut:
    """May be shared by threads; tries each request once."""

    def __init__(self, options: StoreOptions, endpoint: Endpoint) -> None:
        parts = urllib.parse.urlsplit(options.endpoint)
        self._endpoint = endpoint
        self._errors = endpoint.errors
        self._connections = Connections(parts, endpoint.trusted)
        self._host = _host(parts)
        self._path = f"{parts.path.rstrip('/')}/{options.bucket}/"
        self._tokens = endpoint.tokens
        self._dialect = endpoint.dialect
        key, secret = options.access_key_id, options.secret_access_key
        self._signer = Signer(key, secret, self._dialect.region)

    def __call__(self, new: NewObject, replace: bool = True) -> None:
        """Write the object. Raises StoreError; without `replace`, `exists` if there is one."""
        signer, md5 = self._signer, self._dialect.md5
        refusal = self._put(new, replace, signer, md5)
        if refusal is None:
            return
        self._dialect.learn_region(refusal)
        if signer.region != self._dialect.region:
            self._signer = signer = signer.for_region(self._dialect.region)
            refusal = self._put(new, replace, signer, md5)
            if refusal is None:
                return
        if refusal.is_about_checksum and not md5 and self._put(new, replace, signer, True) is None:
            self._dialect.use_md5(refusal)
            return
        raise self._endpoint.error_of(refusal, "PUT", "write to")

    def _put(self, new: NewObject, replace: bool, signer: Signer, md5: bool) -> Answer | None:
        """What the store says in place of writing the object. Raises StoreError."""
        path = self._path + urllib.parse.quote(new.key, safe="/~")
        headers = self._headers(path, new, replace, signer, md5)
        response = self._request(_encode_head(path, headers, len(new.body)), new.body)
        if response.status != 200:
            return parse_error(*response)
        if "etag" not in response.headers:
            raise self._errors.no_etag()
        return None

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._connections.close()

    def _request(self, head: bytes, body: bytes) -> Response:
        try:
            return self._connections.request("PUT", head, body)
        except TimeoutError:
            raise self._errors.no_answer() from None
        except ssl.SSLError as error:
            raise self._errors.no_tls(error) from None
        except ConnectError:
            raise self._errors.nothing_listens() from None
        except (OSError, http.client.HTTPException) as error:
            raise self._errors.broken_request(error) from None

    def _headers(
        self, path: str, new: NewObject, replace: bool, signer: Signer, md5: bool
    ) -> dict[str, str]:
        """All headers, signed. Raises StoreError, `refused` for metadata that are no headers."""
        headers = {"content-md5": new.md5} if md5 else {}
        headers |= {"content-type": new.content_type, "host": self._host}
        if not replace:
            headers["if-none-match"] = "*"
        if not md5:
            headers["x-amz-checksum-sha256"] = new.checksum
        metadata = {f"x-amz-meta-{name}": new.metadata[name] for name in sorted(new.metadata)}
        if _NO_HEADER.search("".join([*metadata, *metadata.values()])):
            raise StoreError("refused", "the object's metadata cannot be put into HTTP headers")
        if self._tokens is not None:
            headers |= metadata
            headers["authorization"] = f"Bearer {self._tokens.get_token()}"
        else:
            headers["x-amz-content-sha256"] = new.sha256
            headers["x-amz-date"] = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            headers |= metadata
            headers["authorization"] = signer.authorization("PUT", path, headers)
        headers["accept-encoding"] = "identity"
        headers["user-agent"] = f"facepipe/{__version__}"
        return headers


def _encode_head(path: str, headers: dict[str, str], length: int) -> bytes:
    """The head of a PUT of `length` bytes; path and headers are ASCII without ends of lines."""
    lines = [f"PUT {path} HTTP/1.1", *[f"{name}: {value}" for name, value in headers.items()]]
    return "\r\n".join([*lines, f"content-length: {length}", "\r\n"]).encode()


def _host(parts: urllib.parse.SplitResult) -> str:
    """The Host header: with the port where it is not the scheme's own."""
    name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    usual = parts.port in (None, {"http": 80, "https": 443}[parts.scheme])
    return f"{name}" if usual else f"{name}:{parts.port}"
