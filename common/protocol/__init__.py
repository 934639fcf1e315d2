"""The wire format: messages, topics, object keys, times."""
