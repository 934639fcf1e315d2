"""Shows the faces in the bucket by day and device, live, and the state of each device."""
