"""What a change of structure must not move."""
