"""What several studies, and tests, need."""
