"""Real brokers and clients."""
