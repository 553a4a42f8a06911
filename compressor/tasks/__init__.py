"""Kinds of models, one file each: what they are shown and minimise, how they are scored and served."""
