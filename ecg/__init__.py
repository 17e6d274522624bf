"""Heartbeats, models, training and metrics: the domain, free of any study."""
