"""The `holdfast` command: one file per subcommand, on the standard library alone.

Reading order: `__main__` (the command line), `endpoint` and `wire` (to the daemon and back), `link` and
`follower` (over as many connections as it takes), `run` (the subcommand that uses all of them).

Nothing here imports msgspec, anyio or asyncio: what a person types dozens of times an hour must start
at once.
"""
