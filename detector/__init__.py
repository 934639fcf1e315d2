"""Detects faces in camera frames with OpenCV, and publishes the best shots as PNG."""
