"""What rounding widths does to speed."""
