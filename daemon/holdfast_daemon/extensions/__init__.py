"""What people add to the daemon: plugins, skills, commands, hooks and MCP servers; and whose it takes."""
