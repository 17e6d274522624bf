"""One trial: its configuration, its training, what it leaves behind."""
