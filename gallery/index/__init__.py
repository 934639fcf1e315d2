"""What the bucket holds, as far as it is known: an SQLite file."""
