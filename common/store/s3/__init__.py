"""S3 stores, for the services that use the bucket: credentials, the SDK's client, its errors."""
