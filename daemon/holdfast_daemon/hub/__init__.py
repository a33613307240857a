"""Fan-out: from the log's head to every subscriber, at its own pace."""
