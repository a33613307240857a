"""An MCP server without an SDK, for tests; its tools say what it is to do. Run as a program.

    told_mcp_server.py [--pids FILE] [--child] [--gate FIFO]

`--pids` appends its pid, and that of the child it then starts, to a file; `--gate` waits for a byte before it
serves. Its tools:

    echo {text}          say it again
    environment {path}   tell what it sees; into a file, if one is named
    write {path}         make a file
    hang {mark}          write to a FIFO, and never answer
    die {mark}           write to a FIFO, and end in mid-call once somebody wrote to it
    ask                  have a person fill in a form
    become {text}        let `echo` be described so from now on, and say that the tools changed
"""

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ids = itertools.count(1)
described = {"echo": "Say it again."}
FORM = {
    "message": "Which colour?",
    "requestedSchema": {"type": "object", "properties": {"colour": {"type": "string"}}},
}
CAPABILITIES = {"tools": {"listChanged": True}}
NAMES = ("echo", "environment", "write", "hang", "die", "ask", "become")


def send(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def tools():
    schema = {"type": "object"}
    return [{"name": n, "description": described.get(n, n), "inputSchema": schema} for n in NAMES]


def ask():
    name = f"ask-{next(ids)}"
    send(id=name, method="elicitation/create", params=FORM)
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("id") == name:
            return json.dumps(message.get("result") or message["error"], sort_keys=True)
    return "gone"


def call(name, given):
    if name == "echo":
        return given["text"]
    if name == "environment":
        if "path" not in given:
            return json.dumps(dict(os.environ))
        Path(given["path"]).write_text(json.dumps(dict(os.environ)))
        return "written"
    if name == "write":
        Path(given["path"]).write_text("made")
        return "made"
    if name in ("hang", "die"):
        Path(given["mark"]).write_text(str(os.getpid()))
        if name == "die":
            os._exit(7)
        while True:
            time.sleep(1000)
    if name == "ask":
        return ask()
    described["echo"] = given["text"]
    send(method="notifications/tools/list_changed")
    return "done"


def main():
    if "--pids" in sys.argv:
        pids = [os.getpid()]
        if "--child" in sys.argv:
            pids.append(subprocess.Popen(["sleep", "1000"], start_new_session=True).pid)
        with Path(sys.argv[sys.argv.index("--pids") + 1]).open("a") as file:
            file.write("".join(f"{pid}\n" for pid in pids))
    if "--gate" in sys.argv:
        os.read(os.open(sys.argv[sys.argv.index("--gate") + 1], os.O_RDONLY), 1)
    for line in sys.stdin:
        message = json.loads(line)
        method, params = message.get("method"), message.get("params") or {}
        if "id" not in message or method is None:
            continue
        if method == "initialize":
            info = {"name": "told", "version": "1"}
            result = {"protocolVersion": "2025-06-18", "capabilities": CAPABILITIES, "serverInfo": info}
        elif method == "tools/list":
            result = {"tools": tools()}
        elif method == "tools/call":
            text = call(params["name"], params.get("arguments") or {})
            result = {"content": [{"type": "text", "text": text}]}
        elif method == "ping":
            result = {}
        else:
            send(id=message["id"], error={"code": -32601, "message": "no such method"})
            continue
        send(id=message["id"], result=result)


if __name__ == "__main__":
    main()
