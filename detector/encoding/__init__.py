"""From a detection to a PNG: crop, mask, rotate, scale, encode."""
