"""A client process that follows sessions until it is killed. Standard library only: it starts fast.

Arguments: the socket, the file with the token, the ids of sessions. Prints a line when it has subscribed.
"""

import json
import socket
import sys
from pathlib import Path


def main() -> None:
    path, token_file, *session_ids = sys.argv[1:]
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    calls = [
        (
            "initialize",
            {
                "protocol": "holdfast",
                "versions": [1],
                "client": {"id": "doomed"},
                "token": Path(token_file).read_text(encoding="ascii"),
            },
        ),
        *(("session/subscribe", {"sessionId": name, "after": "start"}) for name in session_ids),
    ]
    for number, (method, params) in enumerate(calls):
        call = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        sock.sendall(json.dumps(call).encode() + b"\n")
    with sock.makefile("rb") as lines:
        unanswered = len(calls)
        while unanswered:
            unanswered -= '"method"' not in lines.readline()[:40].decode()
        print("following", flush=True)
        for _ in lines:
            pass


if __name__ == "__main__":
    main()
