"""What the services that reach the bucket share: credentials, the SDK's client, its faults."""
