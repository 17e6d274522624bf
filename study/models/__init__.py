"""Exports the networks that studies found as files for use elsewhere."""
