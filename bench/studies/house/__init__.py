"""Two checkouts of this program, side by side."""
