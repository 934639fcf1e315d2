"""Clips and scenes with known faces."""
