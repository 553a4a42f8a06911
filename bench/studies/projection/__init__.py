"""What projections are worth, where they can be held against measurements."""
