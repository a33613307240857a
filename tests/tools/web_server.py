"""A small web server of the test's own, on loopback."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


class WebServer:
    """Answers as told, by path; says what it was asked."""

    def __init__(self, port: int, answers: dict[str, Answer], asked: list[BaseHTTPRequestHandler]) -> None:
        self.port = port
        self.answers = answers
        self.asked = asked

    def url(self, path: str = "/") -> str:
        return f"http://localhost:{self.port}{path}"


def page(body: str, kind: str = "text/html; charset=utf-8", status: int = 200, **headers: str) -> Answer:
    """Give an answer with a body."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        data = body.encode()
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        with contextlib.suppress(OSError):  # It had enough.
            handler.wfile.write(data)

    return answer


def redirect(url: str, status: int = 302) -> Answer:
    """Give a redirect."""
    return page("moved", status=status, Location=url)


@contextlib.contextmanager
def serving() -> Iterator[WebServer]:
    """Serve until the context is left; unknown paths are 404."""
    answers: dict[str, Answer] = {}
    asked: list[BaseHTTPRequestHandler] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self)
            answers.get(self.path, page("nothing here", status=404))(self)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield WebServer(server.server_address[1], answers, asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
