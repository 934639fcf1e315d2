"""The HTTP server of health and metrics, and where pages may be reached."""
