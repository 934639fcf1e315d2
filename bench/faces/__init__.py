"""Parts of `python -m bench.detection`."""
