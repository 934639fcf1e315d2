"""The live preview: a page on which a person sees what the detector sees."""
