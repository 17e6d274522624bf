"""The networks that studies found, as files that can be used elsewhere."""
