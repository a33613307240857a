"""The `fetch` tool: a page's text, from listed domains, by a process of its own."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from tool_calls import Called, call
from web_server import WebServer, page, redirect, serving

from holdfast_daemon.config import ExecutionLimits, FetchSettings
from holdfast_daemon.execution.launcher import Launcher
from holdfast_daemon.execution.sandbox import Unconfined
from holdfast_daemon.tools import fetch_process
from holdfast_daemon.tools.builtin import builtin_tools
from holdfast_daemon.tools.fetch import SHOWN_BYTES_MAX, FetchInput, FetchTool

LIMITS = ExecutionLimits(grace_s=0.1)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with serving() as server:
        yield server


async def fetch(server: WebServer, cwd: Path, url: str, **settings: Any) -> Called:
    """Fetch from this machine, which a list alone does not allow."""
    settings = {"domains": (f"localhost:{server.port}",), "private_addresses": True, **settings}
    launcher = Launcher(Unconfined("not in this test."))
    return await call(FetchTool(LIMITS, launcher, FetchSettings(**settings)), cwd, url=url)


async def test_a_page_is_given_as_text(server: WebServer, tmp_path: Path) -> None:
    server.answers["/a?b=c"] = page("<title>T</title><p>One</p><script>no</script><p>Zwei ü")
    called = await fetch(server, tmp_path, server.url("/a?b=c"))
    (text,) = called.texts
    assert text.startswith(f"[{server.url('/a?b=c')}: status 200, text/html; ")
    assert "One" in text
    assert "Zwei ü" in text
    assert "no" not in text.split("\n", 1)[1]
    headers = server.asked[0].headers
    assert headers["Host"] == f"localhost:{server.port}"
    assert {name.lower() for name in headers} == {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "connection",
    }


async def test_plain_text_and_json_stay_as_they_are(server: WebServer, tmp_path: Path) -> None:
    server.answers["/t"] = page("a <b>  c\n", "text/plain")
    server.answers["/j"] = page('{"a": 1}', "application/json")
    assert (await fetch(server, tmp_path, server.url("/t"))).texts[0].endswith("\na <b>  c\n")
    assert (await fetch(server, tmp_path, server.url("/j"))).texts[0].endswith('\n{"a": 1}')


async def test_an_error_page_is_a_result(server: WebServer, tmp_path: Path) -> None:
    assert "status 404" in (await fetch(server, tmp_path, server.url("/missing"))).texts[0]


async def test_a_domain_that_is_not_listed_is_refused_and_nothing_is_asked(
    server: WebServer, tmp_path: Path
) -> None:
    called = await fetch(server, tmp_path, server.url(), domains=("example.org",))
    assert called.error.kind == "forbidden"
    assert "localhost" in called.error.message
    assert server.asked == []


async def test_a_listed_name_that_leads_to_this_machine_is_refused(server: WebServer, tmp_path: Path) -> None:
    called = await fetch(server, tmp_path, server.url(), private_addresses=False)
    assert called.error.kind == "forbidden"
    assert "not a public address" in called.error.message
    assert server.asked == []


async def test_a_redirect_is_followed_on_the_list_and_refused_off_it(
    server: WebServer, tmp_path: Path
) -> None:
    server.answers["/here"] = redirect("/there")
    server.answers["/there"] = page("arrived", "text/plain")
    server.answers["/away"] = redirect(f"http://127.0.0.1:{server.port}/there")
    server.answers["/file"] = redirect("file:///etc/passwd")
    assert "arrived" in (await fetch(server, tmp_path, server.url("/here"))).texts[0]
    asked = len(server.asked)
    for path in ("/away", "/file"):
        assert (await fetch(server, tmp_path, server.url(path))).error.kind == "forbidden"
    assert len(server.asked) == asked + 2, "what they led to was not asked"


async def test_redirects_end(server: WebServer, tmp_path: Path) -> None:
    server.answers["/"] = redirect("/")
    assert (await fetch(server, tmp_path, server.url())).error.kind == "too_many_redirects"
    assert len(server.asked) == fetch_process.REDIRECTS_MAX + 1


async def test_a_page_up_to_the_limit_is_taken_and_one_byte_more_is_not(
    server: WebServer, tmp_path: Path
) -> None:
    server.answers["/"] = page("x" * 1000, "text/plain")
    assert (await fetch(server, tmp_path, server.url(), body_bytes_max=1000)).texts
    error = (await fetch(server, tmp_path, server.url(), body_bytes_max=999)).error
    assert error.kind == "too_large"
    assert "body_bytes_max" in error.message


async def test_a_long_text_is_shown_from_both_ends(server: WebServer, tmp_path: Path) -> None:
    server.answers["/"] = page("first" + "ü" * 100_000 + "last", "text/plain")
    called = await fetch(server, tmp_path, server.url())
    assert called.outcome.truncated
    assert "first" in called.texts[0]
    assert called.texts[0].endswith("last")
    assert len(called.texts[0].encode()) < SHOWN_BYTES_MAX + 1000
    cut = await fetch(server, tmp_path, server.url(), text_chars_max=10)
    assert "firstüüüüü" in cut.texts[0]
    assert cut.outcome.truncated


@pytest.mark.parametrize(
    ("kind", "headers"),
    [("image/png", {}), ("application/octet-stream", {}), ("text/html", {"Content_Encoding": "gzip"})],
)
async def test_what_is_no_text_is_not_shown(
    server: WebServer, tmp_path: Path, kind: str, headers: dict[str, str]
) -> None:
    server.answers["/"] = page("x", kind, **headers)
    assert (await fetch(server, tmp_path, server.url())).error.kind == "not_text"


async def test_a_page_that_drips_is_ended_in_time(server: WebServer, tmp_path: Path) -> None:
    ended = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/plain")
        handler.end_headers()
        try:
            while not ended.wait(0.01):
                handler.wfile.write(b"x")
        except OSError:
            ended.set()

    server.answers["/"] = drip
    error = (await fetch(server, tmp_path, server.url(), timeout_s=0.7)).error
    assert error.kind == "timeout"
    assert ended.wait(10), "the connection was closed"


async def test_a_server_that_is_not_there_is_said(tmp_path: Path, server: WebServer) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        url = f"http://localhost:{port}/"
        assert (
            await fetch(server, tmp_path, url, domains=(f"localhost:{port}",))
        ).error.kind == "unreachable"


async def test_garbage_is_not_a_page(server: WebServer, tmp_path: Path) -> None:
    server.answers["/"] = lambda handler: handler.wfile.write(b"\x00\xffgarbage\r\n\r\n") and None
    assert (await fetch(server, tmp_path, server.url())).error.kind == "unreachable"


def test_there_is_no_fetch_without_a_domain() -> None:
    names = [tool.name for tool in builtin_tools(LIMITS)]
    assert "fetch" not in names
    assert "fetch" not in [tool.name for tool in builtin_tools(LIMITS, fetching=FetchSettings())]
    with_one = builtin_tools(LIMITS, fetching=FetchSettings(domains=("example.org",)))
    assert "fetch" in [tool.name for tool in with_one]


def test_a_title_is_the_url() -> None:
    tool = FetchTool(LIMITS, Launcher(), FetchSettings())
    assert tool.title(FetchInput(url="https://example.org/")) == "fetch https://example.org/"
    assert tool.title(FetchInput(url="x" * 500)) == f"fetch {'x' * 200} …"


# Addresses ------------------------------------------------------------------------------------------------


class Network:
    """Names with addresses, one list per time they are asked; connections end at the test's own server."""

    def __init__(self, server: WebServer, *answers: list[str]) -> None:
        self._server = server
        self._answers = list(answers)
        self.connected: list[str] = []

    def resolve(self, host: str, port: int) -> list[str]:
        del host, port
        return self._answers.pop(0)

    def connect(self, address: str, port: int, timeout_s: float) -> socket.socket:
        del port
        self.connected.append(address)
        return socket.create_connection(("127.0.0.1", self._server.port), timeout_s)


def fetched(network: Network, url: str = "http://example.org/") -> dict[str, Any]:
    asked = {
        "url": url,
        "domains": ["example.org"],
        "private": False,
        "body_bytes_max": 10_000,
        "idle_timeout_s": 5.0,
        "text_chars_max": 10_000,
    }
    return fetch_process.Fetch(asked, network.resolve, network.connect).run()


def test_a_connection_goes_to_the_address_that_was_checked(server: WebServer) -> None:
    """A name that has another address the next time it is asked is not asked a second time."""
    server.answers["/"] = page("fine", "text/plain")
    network = Network(server, ["1.1.1.1"], ["127.0.0.1"])
    assert fetched(network)["text"] == "fine"
    assert network.connected == ["1.1.1.1"]
    assert server.asked[0].headers["Host"] == "example.org"


def test_one_address_that_is_not_public_refuses_them_all(server: WebServer) -> None:
    network = Network(server, ["1.1.1.1", "169.254.169.254"])
    with pytest.raises(fetch_process.Failure, match=r"169\.254\.169\.254"):
        fetched(network)
    assert network.connected == []


def test_the_addresses_of_a_redirect_are_checked_too(server: WebServer) -> None:
    server.answers["/"] = redirect("/next")
    network = Network(server, ["1.1.1.1"], ["127.0.0.1"])
    with pytest.raises(fetch_process.Failure, match=r"127\.0\.0\.1"):
        fetched(network)
    assert network.connected == ["1.1.1.1"]
    assert [asked.path for asked in server.asked] == ["/"]


def test_a_redirect_from_https_to_http_is_refused() -> None:
    with pytest.raises(fetch_process.NotAllowed):
        fetch_process._check_kept_secret("https", "http")
    fetch_process._check_kept_secret("http", "https")
