"""Whether a profile's first cause and its prediction hold."""
