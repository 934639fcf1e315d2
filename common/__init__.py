"""What at least two services need. Imports no service."""

__version__ = "0.1.0"
