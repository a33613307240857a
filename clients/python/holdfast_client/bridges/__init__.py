"""Bridges: other protocols' windows onto sessions. Each is a client like any other, on `aio` alone."""
