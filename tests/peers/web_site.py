"""A web site on loopback: it serves the tests' pages and our client, and pages post to it what they saw."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple
from urllib.parse import quote

PAGES = Path(__file__).parent / "pages"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

POST_S_MAX = 30.0


class Resource(NamedTuple):
    """What is served at a path."""

    body: bytes
    type: str
    policy: str = ""


class WebSite:
    """A running site.

    Args:
        port: where it is.
        posts: what its pages posted: the path, and the JSON.
    """

    def __init__(self, port: int, posts: "SimpleQueue[tuple[str, Any]]") -> None:
        self.port = port
        self._posts = posts

    def url(self, page: str, task: dict[str, Any], host: str = "127.0.0.1") -> str:
        """Give a page's URL, with what it is to do as the fragment: that is sent to nobody."""
        return f"http://{host}:{self.port}/{page}#{quote(json.dumps(task))}"

    def posted(self, path: str) -> Any:
        """Wait for the next post, which must be to this path; give its JSON."""
        try:
            where, what = self._posts.get(timeout=POST_S_MAX)
        except Empty:
            raise AssertionError(f"no page has posted to {path} in time") from None
        assert where == path, what
        return what


@contextmanager
def serving(client: Path) -> Iterator[WebSite]:
    """Serve on a free port.

    Args:
        client: the folder of our client's modules, which appear under `/client/`.
    """
    posts: SimpleQueue[tuple[str, Any]] = SimpleQueue()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(_resources(client), posts)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield WebSite(server.server_port, posts)
        finally:
            server.shutdown()
            thread.join()


def _resources(client: Path) -> dict[str, Resource]:
    found = {f"/{file.name}": file for file in PAGES.iterdir()}
    found |= {f"/client/{file.name}": file for file in client.glob("*.js")}
    resources = {path: Resource(file.read_bytes(), TYPES[file.suffix]) for path, file in found.items()}
    # The same page without an origin: its requests say `Origin: null`.
    resources["/sandboxed.html"] = resources["/attempt.html"]._replace(policy="sandbox allow-scripts")
    return resources


def _handler(
    resources: dict[str, Resource], posts: "SimpleQueue[tuple[str, Any]]"
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10.0

        def do_GET(self) -> None:
            resource = resources.get(self.path)
            if resource is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", resource.type)
            self.send_header("Content-Length", str(len(resource.body)))
            if resource.policy:
                self.send_header("Content-Security-Policy", resource.policy)
            self.end_headers()
            self.wfile.write(resource.body)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()
            posts.put((self.path, json.loads(body)))

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    return Handler
