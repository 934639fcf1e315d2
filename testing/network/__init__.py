"""Links to cut, cameras, certificates."""
