"""Which models could be had: keys by the names of their variables, and servers on this machine.

The value of a key is never read, and no cloud is called.
"""

import json
import socket
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final, NamedTuple, cast

from holdfast_client.shell.diagnosis.check import Check, Finding, Scene

KEY_VARIABLES: Final = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "DEEPSEEK_API_KEY", "MOONSHOT_API_KEY")

PROBE_TIMEOUT_S: Final = 0.15
"""For a whole answer: what is on this machine and up answers at once."""

_ANSWER_BYTES_MAX: Final = 256 * 1024
_LOOPBACK: Final = ("127.0.0.1", "localhost")


class Server(NamedTuple):
    """A server that lists models: its name, its port, where its list is, and what member holds it."""

    name: str
    port: int
    path: str
    member: str


_SERVERS: Final = (
    Server("Ollama", 11434, "/api/tags", "models"),
    Server("LM Studio", 1234, "/v1/models", "data"),
    Server("llama.cpp", 8080, "/v1/models", "data"),
    Server("vLLM", 8000, "/v1/models", "data"),
)


def _keys(scene: Scene) -> Finding:
    present = tuple(name for name in KEY_VARIABLES if scene.environ.get(name))
    if not present:
        return Finding("ok", "no provider's key is in the environment; offline/rehearsal needs none")
    return Finding("ok", f"{', '.join(present)} in the environment; values were not looked at", present)


def _local(scene: Scene) -> Finding:
    answers = {server.name: probe(server) for server in servers(scene.environ)}
    details = tuple(f"{name}: {answer}" for name, answer in answers.items())
    up = [f"{name} ({answer})" for name, answer in answers.items() if answer.endswith("models")]
    return Finding(
        "ok", f"on this machine: {', '.join(up)}" if up else "no server on this machine lists models", details
    )


def servers(environ: Mapping[str, str]) -> tuple[Server, ...]:
    """Give the servers to ask; OLLAMA_HOST may name another port, but no other machine."""
    host, _, port = environ.get("OLLAMA_HOST", "").removeprefix("http://").rstrip("/").partition(":")
    if host in _LOOPBACK and port.isascii() and port.isdecimal() and 0 < int(port) < 65536:
        return (_SERVERS[0]._replace(port=int(port)), *_SERVERS[1:])
    return _SERVERS


def probe(server: Server) -> str:
    """Give `N models`, or a stable code: `connect_refused`, `timeout`, `http_NNN`, `parse`."""
    try:
        answer = _get(server, monotonic() + PROBE_TIMEOUT_S)
    except TimeoutError:
        return "timeout"
    except OSError:
        return "connect_refused"
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if status != [b"200"]:
        return f"http_{status[0].decode()}" if status and status[0].isdigit() else "parse"
    return _count(server, body)


def _get(server: Server, deadline: float) -> bytes:
    # HTTP/1.0, so that the body comes unchunked and ends with the connection.
    request = f"GET {server.path} HTTP/1.0\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n"
    received = b""
    with socket.create_connection((_LOOPBACK[0], server.port), PROBE_TIMEOUT_S) as connected:
        connected.sendall(request.encode())
        while len(received) < _ANSWER_BYTES_MAX:
            connected.settimeout(max(0.001, deadline - monotonic()))
            chunk = connected.recv(65536)
            if not chunk:
                break
            received += chunk
            if monotonic() > deadline:
                raise TimeoutError
    return received


def _count(server: Server, body: bytes) -> str:
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        return "parse"
    members = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    models: Any = members.get(server.member)
    return f"{len(cast('list[Any]', models))} models" if isinstance(models, list) else "parse"


CHECKS: Final = (Check("modelKeys", "Models", _keys), Check("localServers", "Models", _local))
