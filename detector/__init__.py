"""Finds faces in camera frames with an OpenCV Haar cascade and publishes each as a PNG."""
