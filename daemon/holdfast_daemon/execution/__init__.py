"""Execution of tool calls: checks, limits, processes."""
