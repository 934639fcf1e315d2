"""Which faces belong to one visit, where to look next, and which shot is the best."""
