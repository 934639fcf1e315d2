"""Object stores on loopback, real and failing ones."""
