"""The Agent Client Protocol: `holdfast acp` is an agent to any editor that speaks it.

Nothing here is imported before `initialize` is answered, but for `greeting`, which needs the standard
library alone.

Reading order: `program` (the process), `bridge` (from a message to what is done), `window` (one session on
one connection), `transcript` (events to updates), `turns`, `dialogs`; below them `peer` (JSON-RPC both
ways), `stdio` and `reach` (the way to the daemon). `content`, `choices`, `tool_calls` and `refusals` are
the mapping functions: on their other side stand only our words.
"""
