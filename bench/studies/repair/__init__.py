"""What repair in closed form gives back without any training."""
