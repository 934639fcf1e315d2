"""The first inputs of each target of `make fuzz`, which takes minutes of them."""

from __future__ import annotations

import pytest

from tests.fuzz.__main__ import TARGETS, fuzz


@pytest.mark.filterwarnings("ignore::dateutil.parser.UnknownTimezoneWarning")
@pytest.mark.parametrize("name", ["mqtt", "json", "png", "s3", "gallery", "health", "preview"])
def test_no_input_causes_an_unhandled_error(name: str) -> None:
    assert TARGETS.keys() == {"mqtt", "json", "png", "s3", "gallery", "health", "preview"}
    count = 300 if name in ("s3", "gallery", "health", "preview") else 3000
    assert fuzz(name, lambda done: done >= count, seed=1) == count
