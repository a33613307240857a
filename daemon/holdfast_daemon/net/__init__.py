"""Connections: bytes from transports, authenticated, to requests and back."""
