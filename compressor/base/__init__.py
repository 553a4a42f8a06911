"""What everything else stands on: documents from outside, files written whole, foreign text, locks."""
