"""Commands of `python -m detector`: `--cameras`, `--image`, `--outbox`, `--probe`."""
