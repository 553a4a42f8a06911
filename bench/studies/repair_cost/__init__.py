"""Time and memory of repair."""
