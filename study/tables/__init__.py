"""The published tables, rendered from results."""
