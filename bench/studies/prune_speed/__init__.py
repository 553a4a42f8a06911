"""How long pruning itself takes."""
