"""The daemon that owns AI-agent sessions."""
