"""Models: adapters that turn a provider's stream into step events."""
