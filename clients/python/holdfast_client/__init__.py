"""The holdfast command and client library."""
