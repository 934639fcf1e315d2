"""Delivery of faces: published and forgotten, or kept until their receipt arrives."""
