"""Measurements; each module runs by `python -m bench.NAME`."""
