"""Sessions, their runs and prompts."""
