"""Deleting faces, the record of it, and how long faces are kept."""
