"""What merging is worth before any training."""
