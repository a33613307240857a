#!/usr/bin/env python3
"""A hook as a program: keeps the first fifty lines of what a search found."""

import json
import sys

LINES = 50

call = json.load(sys.stdin)
lines = call["result"][0]["text"].splitlines()
if len(lines) <= LINES:
    print(json.dumps({"decision": "allow"}))
else:
    text = "\n".join([*lines[:LINES], f"… and {len(lines) - LINES} more lines"])
    result = [{"type": "text", "text": text}]
    print(json.dumps({"decision": "modify", "result": result, "reason": "long"}))
