"""Every named model in three precisions."""
