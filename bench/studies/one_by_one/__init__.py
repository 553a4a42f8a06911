"""What CORING should do with 1x1 convolutions."""
