"""A bucket by both ways of a PUT, our own and the SDK's, and what a PUT fails with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from common.settings import read
from common.store.base import NewObject, Observer, StoreError
from common.store.s3.store import S3Store
from processor.settings import ProcessorSettings
from testing.store.nanio import BUCKET, KEY_ID, SECRET
from testing.store.objects import new

KEYS = [
    "box-1/cam-1/2026-03-01/face_1772409599123_0123abcd.png",
    "a b/ü+~ (1)/'!*=@,&$:;%41?.png",
    "one//two/./..three",
]
HMAC = {"COS_BUCKET": BUCKET, "COS_ACCESS_KEY_ID": KEY_ID, "COS_SECRET_ACCESS_KEY": SECRET}
Way = Callable[[S3Store], Callable[[NewObject], None]]
WAYS: dict[str, Way] = {"own": lambda bucket: bucket.put, "sdk": lambda bucket: bucket.put_by_sdk}
BUCKETS: list[S3Store] = []


def bucket(endpoint: str, **changed: str) -> S3Store:
    """Whoever uses it closes BUCKETS."""
    settings = read(ProcessorSettings, {**HMAC, "COS_ENDPOINT": endpoint, **changed})
    BUCKETS.append(S3Store(settings.store_options(16), Observer()))
    return BUCKETS[-1]


def failure(way: Way, made: S3Store) -> tuple[str, str]:
    """The reason and the sentence that a PUT by this way fails with."""
    with pytest.raises(StoreError) as raised:
        way(made)(new())
    return raised.value.reason, str(raised.value)


def xml(code: str, message: str = "as &lt;told&gt;") -> bytes:
    start = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    return f"{start}<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
