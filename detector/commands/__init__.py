"""Commands of `python -m detector`: `--image`, `--outbox`."""
