"""The `holdfast` command; standard library only on its fast path, a module per subcommand."""
