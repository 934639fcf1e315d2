"""Signatures: those of the documentation, and those of the SDK."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibm_botocore.auth import S3SigV4Auth
from ibm_botocore.awsrequest import AWSRequest
from ibm_botocore.credentials import Credentials

from common.store.s3.signature import Signer
from testing.store.canned import Canned
from testing.store.nanio import KEY_ID, SECRET
from testing.store.objects import new
from testing.store.s3 import bucket

EXAMPLE = Signer("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")


@pytest.mark.parametrize(
    ("method", "path", "headers", "signature"),
    [
        (
            "PUT",
            "/test%24file.text",
            {
                "date": "Fri, 24 May 2013 00:00:00 GMT",
                "host": "examplebucket.s3.amazonaws.com",
                "x-amz-content-sha256": hashlib.sha256(b"Welcome to Amazon S3.").hexdigest(),
                "x-amz-date": "20130524T000000Z",
                "x-amz-storage-class": "REDUCED_REDUNDANCY",
            },
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/test.txt",
            {
                "host": "examplebucket.s3.amazonaws.com",
                "range": "bytes=0-9",
                "x-amz-content-sha256": hashlib.sha256(b"").hexdigest(),
                "x-amz-date": "20130524T000000Z",
            },
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
    ],
)
def test_a_signature_is_that_of_the_documentation(
    method: str, path: str, headers: dict[str, str], signature: str
) -> None:
    said = EXAMPLE.authorization(method, path, headers)
    scope = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
    names = ";".join(headers)
    assert said == (
        f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"
    )


WORD = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")
@settings(deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1), min_size=1),
    st.dictionaries(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True), WORD),
)
def test_a_signature_is_that_of_the_sdk(names: list[str], metadata: dict[str, str]) -> None:
    with Canned() as server:
        own = bucket(server.endpoint)
        body = "/".join(names).encode()
        own.put(new("/".join(names), body, **metadata))
    asked = server.asked[0]
    signed = re.search(r"SignedHeaders=([^,]+)", asked.headers["authorization"])
    assert signed is not None
    # The very request that came, signed by the SDK at the moment that it names.
    request = AWSRequest(
        "PUT",
        server.endpoint + asked.line.split()[1],
        {name: asked.headers[name] for name in signed[1].split(";")},
        asked.body,
    )
    request.context["timestamp"] = asked.headers["x-amz-date"]
    signer = S3SigV4Auth(Credentials(KEY_ID, SECRET), "s3", "us-east-1")
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signature = signer.signature(text, request)
    assert asked.headers["authorization"].endswith(f"Signature={signature}")
