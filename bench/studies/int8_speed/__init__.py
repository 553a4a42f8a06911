"""What integers gain in time."""
