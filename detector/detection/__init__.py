"""Engines that find faces in a frame."""
