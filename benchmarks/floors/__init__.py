"""The least code that does the same work, each in a process of its own."""
