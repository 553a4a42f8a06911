"""What padding pruned widths costs and gains."""
