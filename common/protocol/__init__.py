"""What travels on the wire and what it is called: messages, topics, object keys, times."""
