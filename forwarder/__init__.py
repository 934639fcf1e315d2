"""Relays faces and status up to the cloud broker, and receipts down; keeps nothing on disk."""
