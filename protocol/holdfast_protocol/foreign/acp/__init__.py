"""The Agent Client Protocol, version 1, as types: what editors send, and what they are sent.

Written after the published JSON Schema; `tests/acp` compares types with their definitions. Types for what is
received are decoded with `tolerance.convert`, as leniently as the schema says. Members of
foreign extensions (`_meta`) are carried as plain JSON.

Reading order: `base`, `tolerance`, `content`, `handshake`, `sessions`, `updates`, `client_calls`.
"""
