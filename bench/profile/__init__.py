"""Where the time of a model goes, node by node, and what could be done about it."""
