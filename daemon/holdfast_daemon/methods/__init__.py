"""Handlers of the method table, one module per family."""
