"""Relays faces and status up to the cloud broker, and receipts down; stores nothing on disk."""
