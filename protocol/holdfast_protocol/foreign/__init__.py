"""Types of protocols that are not ours, for the bridges. Like all of the protocol, without I/O."""
