"""What a stranger's file, a slip or a kill did before, and does now: the same commands on two checkouts."""
