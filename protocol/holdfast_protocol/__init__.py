"""The wire of holdfast, sans I/O: bytes in, messages out; no clock, tasks, sockets or logging."""
