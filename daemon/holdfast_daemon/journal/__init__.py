"""The event log: the only truth."""
