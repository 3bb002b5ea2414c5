"""striata."""
