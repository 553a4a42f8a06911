"""Published weights on real images."""
