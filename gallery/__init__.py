"""Shows what the bucket holds: faces by day and device, live, and the fleet that they come from."""
