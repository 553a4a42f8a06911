"""What integers cost in accuracy."""
