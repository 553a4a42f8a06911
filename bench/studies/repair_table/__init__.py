"""All criteria, cut, merged, repaired and fine-tuned."""
