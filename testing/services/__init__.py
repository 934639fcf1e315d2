"""The product's own services as processes."""
