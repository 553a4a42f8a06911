"""Networks of another library, as its users would bring them."""
