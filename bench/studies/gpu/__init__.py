"""What pruning gives on a GPU."""
