"""What drives a session's runs."""
