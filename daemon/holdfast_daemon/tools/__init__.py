"""The tools agents can call."""
