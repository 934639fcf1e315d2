"""Faces on disk from the moment they are encoded until their fate is known."""
