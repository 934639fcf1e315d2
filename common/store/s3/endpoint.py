"""The boundary to the IBM COS SDK: a client for one endpoint, and a reason word for each error."""

from __future__ import annotations

import contextlib
import os
import urllib.parse
from collections.abc import Iterator
from typing import Any

import ibm_boto3
from ibm_botocore.client import Config
from ibm_botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ParamValidationError,
    ReadTimeoutError,
    SSLError,
)
from ibm_botocore.httpsession import get_cert_path
from ibm_botocore.parsers import ResponseParserError
from ibm_botocore.session import get_session
from ibm_botocore.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

from common.store.base import StoreError, StoreOptions
from common.store.s3.dialect import Dialect
from common.store.s3.iam import Tokens
from common.store.s3.store_errors import Answer, StoreErrors, to_answer

# What the SDK raises on a response that is not S3's, such as an invalid date.
_UNREADABLE = (ResponseParserError, LookupError, TypeError, ValueError, RuntimeError, OverflowError)
CONNECT_TIMEOUT, READ_TIMEOUT = 5, 15  # seconds; the SDK's 60 would hold a worker for minutes


class Endpoint:
    """`client` may be shared by threads; each request is tried once, within `faults()`."""

    def __init__(self, options: StoreOptions) -> None:
        self.url = options.endpoint
        self.errors = StoreErrors(options)
        self.tokens: Tokens | None = None  # with an API key
        arguments: dict[str, Any] = {}
        if options.hmac:
            arguments["aws_access_key_id"] = options.access_key_id
            arguments["aws_secret_access_key"] = options.secret_access_key
        else:
            self.tokens = Tokens(options.api_key, options.auth_endpoint)
            arguments["token_manager"] = self.tokens
            arguments["ibm_service_instance_id"] = options.instance_crn or None
        self.client: Any = ibm_boto3.client(
            "s3",
            endpoint_url=options.endpoint,
            region_name=options.region or None,
            config=Config(
                signature_version="s3v4" if options.hmac else "oauth",
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=READ_TIMEOUT,
                retries={"mode": "standard", "total_max_attempts": 1},
                max_pool_connections=options.connections,
                tcp_keepalive=True,
                s3={"addressing_style": "path"},
            ),
            **arguments,
        )
        self.dialect = Dialect(str(self.client.meta.region_name) if options.hmac else "")
        self.dialect.register(self.client.meta.events)

    @contextlib.contextmanager
    def translate_errors(
        self, what: str, right: str, not_found: str = "no_bucket"
    ) -> Iterator[None]:
        """Raise the SDK's errors, and those of reading a body, as StoreError.

        what: the request, as in "does not take a PUT". right: what the request needs the right to,
        as in "write to". not_found: the reason of a 404 without a code.
        """
        try:
            yield
        except ClientError as error:
            raise self.error_of(_answer(error), what, right, not_found) from None
        except (ReadTimeoutError, ConnectTimeoutError):
            raise self.errors.no_answer() from None
        except SSLError as error:
            raise self.errors.no_tls(error) from None
        except EndpointConnectionError:
            raise self.errors.nothing_listens() from None
        except ParamValidationError as error:
            raise StoreError("refused", f"the SDK does not accept this request: {error}") from None
        except (BotoCoreError, HTTPError, OSError) as error:  # the last two while a body is read
            raise self.errors.broken_request(error) from None
        except _UNREADABLE as error:
            raise self.errors.not_s3(error) from None

    def error_of(
        self, answer: Answer, what: str, right: str, not_found: str = "no_bucket"
    ) -> StoreError:
        """The StoreError for an answer. A token that the store does not accept is forgotten."""
        failure = self.errors.from_answer(answer, what, right, not_found)
        if failure.reason == "denied" and self.tokens is not None:
            self.tokens.forget()
        return failure

    @property
    def proxied(self) -> bool:
        """Whether the environment has a proxy between us and the store."""
        scheme = urllib.parse.urlsplit(self.url).scheme
        return bool(get_environ_proxies(self.url).get(scheme))

    @property
    def trusted(self) -> str:
        """The file of the authorities that the SDK trusts."""
        bundle = get_session().get_config_variable("ca_bundle")
        return str(bundle or os.environ.get("REQUESTS_CA_BUNDLE") or get_cert_path(True))


def _answer(error: ClientError) -> Answer:
    response = error.response.get("ResponseMetadata", {})
    status, headers = response.get("HTTPStatusCode", 0), response.get("HTTPHeaders", {})
    return to_answer(int(status), headers, error.response.get("Error", {}))
