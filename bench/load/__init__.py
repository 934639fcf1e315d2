"""What loads the services: ready-made faces, and a store that costs next to nothing."""
