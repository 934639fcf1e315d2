"""What `python -m detector` does instead of running: `--image`, `--outbox`."""
