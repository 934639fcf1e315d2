"""The fleet: each device with its services, from their retained status messages."""

from gallery.fleet.registry import Fleet
from gallery.fleet.summary import Summary

__all__ = ["Fleet", "Summary"]
