"""A report of a real run, looked at in a browser."""
