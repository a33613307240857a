"""The one version of all holdfast distributions, and the protocol revisions they speak."""

VERSION = "0.1.0"

PROTOCOL = "holdfast"

PROTOCOL_VERSIONS: tuple[int, ...] = (1,)
"""Revisions this build speaks, oldest first; compared by place in this tuple, never by size."""
