"""How fast CORING ranks filters."""
