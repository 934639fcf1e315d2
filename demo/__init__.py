"""Runs the whole pipeline on one machine, without Docker, camera, account or root."""
