"""A real browser at the WebSocket: pages of elsewhere stay out, and our client works in a page.

The pages (pages/) post to the tests' own web site what they saw. Between browser and daemon a tap notes what
the browser really asks for and what it is answered; it changes nothing.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from chromium import browsing, find_chromium
from daemon_process import DaemonProcess, Owner
from web_site import WebSite, serving
from wire_tap import Cuts, WireTap, tapping

from fakes.home import Home

GONE_S_MAX = 10.0

CUTS = Cuts(count=5, bytes_min=4_000, bytes_max=20_000)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser."""
    command = find_chromium()
    assert command, "no browser is installed: apt-get install --no-install-recommends chromium"
    return command


@pytest.fixture
def site(built: Path) -> Iterator[WebSite]:
    """The site whose pages the daemon allows."""
    with serving(built) as served:
        yield served


@pytest.fixture
def elsewhere(built: Path) -> Iterator[WebSite]:
    """A site of which the daemon was not told."""
    with serving(built) as served:
        yield served


class Listening(NamedTuple):
    """A daemon that listens for WebSockets."""

    process: DaemonProcess
    record: dict[str, Any]
    flags: tuple[str, ...]

    @property
    def port(self) -> int:
        return self.record["ws"][1]

    @property
    def token(self) -> str:
        return self.record["token"]


@pytest.fixture
def listening(holdfastd: str, home: Home, site: WebSite) -> Iterator[Listening]:
    process = DaemonProcess(holdfastd, home.path)
    flags = ("--ws-origin", f"http://127.0.0.1:{site.port}")
    try:
        yield Listening(process, process.start("--ws", "0", *flags), flags)
        assert process.stop() == 0
    finally:
        process.kill()


def open_page(chromium: str, listening: Listening, tap: WireTap, url: str) -> AbstractContextManager[None]:
    """Open a page in a browser that reaches the daemon, under whatever name, through the tap.

    All the names lead to loopback: that is what a rebound name does.
    """
    names = ("127.0.0.1", "localhost", "evil.test")
    taps = {f"{name}:{listening.port}": f"127.0.0.1:{tap.port}" for name in names}
    return browsing(chromium, url, taps | {"localhost": "127.0.0.1", "evil.test": "127.0.0.1"})


def net(owner: Owner) -> dict[str, int]:
    return owner.call("daemon/status")["net"]


# Who gets in ------------------------------------------------------------------------------------------------


class Attempt(NamedTuple):
    """A page, what it asks for, and the status it is answered with. `SITE` and `WS` are ports."""

    status: int
    page: str = "attempt.html"
    at: str = "127.0.0.1"
    foreign: bool = False
    origin: str = "http://127.0.0.1:SITE"
    url: str = "ws://127.0.0.1:WS/"
    protocols: tuple[str, ...] = ("holdfast.v1", "holdfast.token.TOKEN")


ATTEMPTS = {
    "an allowed page": Attempt(101),
    "an allowed page that says localhost": Attempt(101, url="ws://localhost:WS/"),
    "a page of another port": Attempt(403, foreign=True),
    "a page of another name for the allowed site": Attempt(
        403, at="localhost", origin="http://localhost:SITE"
    ),
    "a page of a rebound name, of its site": Attempt(403, at="evil.test", origin="http://evil.test:SITE"),
    "a page without an origin": Attempt(403, page="sandboxed.html", origin="null"),
    "a page of a rebound name": Attempt(
        421, at="evil.test", origin="http://evil.test:SITE", url="ws://evil.test:WS/"
    ),
    "an allowed page that says a rebound name": Attempt(421, url="ws://evil.test:WS/"),
    "an allowed page with a wrong token": Attempt(401, protocols=("holdfast.v1", "holdfast.token.wrong")),
    "an allowed page with a token and a bit": Attempt(
        401, protocols=("holdfast.v1", "holdfast.token.TOKENx")
    ),
    "an allowed page without a token": Attempt(401, protocols=("holdfast.v1",)),
    "an allowed page with its token in the path": Attempt(
        404, url="ws://127.0.0.1:WS/?token=TOKEN", protocols=("holdfast.v1",)
    ),
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_a_page_gets_in_by_its_origin_its_host_and_its_token_together(
    chromium: str, listening: Listening, site: WebSite, elsewhere: WebSite, name: str
) -> None:
    attempt = ATTEMPTS[name]
    server = elsewhere if attempt.foreign else site

    def filled(text: str) -> str:
        ports = text.replace("SITE", str(server.port)).replace("WS", str(listening.port))
        return ports.replace("TOKEN", listening.token)

    task = {"url": filled(attempt.url), "protocols": [filled(protocol) for protocol in attempt.protocols]}
    with tapping(listening.port) as tap, Owner(listening.record) as owner:
        before = net(owner)
        with open_page(chromium, listening, tap, server.url(attempt.page, task, attempt.at)):
            outcome = server.posted("/outcome")
            [exchange] = tap.exchanges
            assert exchange.status == attempt.status
            assert exchange.header("Origin") == outcome["origin"] == filled(attempt.origin)
            assert exchange.header("Host") == filled(attempt.url).split("/")[2]
            assert exchange.header("Sec-WebSocket-Protocol") == ", ".join(task["protocols"])
            is_in = attempt.status == 101
            assert outcome["opened"] is is_in
            if is_in:
                assert (outcome["protocol"], outcome["role"]) == ("holdfast.v1", "controller")
            else:
                assert outcome == {"origin": outcome["origin"], "opened": False, "code": 1006, "reason": ""}
            assert net(owner)["connections"] == 1 + is_in
            assert net(owner)["accepted"] == before["accepted"] + is_in, "it never was a connection"
        until_gone(owner)
        assert net(owner)["requests"] == owner.calls + is_in, "nobody else was served"


def until_gone(owner: Owner) -> None:
    """Wait until the daemon knows nobody but its owner."""
    deadline = time.monotonic() + GONE_S_MAX
    while (found := net(owner)) and (found["connections"], found["unauthenticated"]) != (1, 0):
        assert time.monotonic() < deadline, found


# Our client in a page ---------------------------------------------------------------------------------------


def session_task(listening: Listening, home: Home, *prompts: str) -> dict[str, Any]:
    url = f"ws://127.0.0.1:{listening.port}/"
    return {"url": url, "token": listening.token, "cwd": str(home.work), "prompts": prompts}


def script(step: str) -> str:
    return f"script:\n- {step}\n"


def assert_all_of_the_log(outcome: dict[str, Any], log: list[dict[str, Any]]) -> None:
    """The page got each event once and in order, from the first to the last there is."""
    assert [event["seq"] for event in outcome["events"]] == list(range(1, len(log) + 1))
    assert outcome["events"] == log


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def test_a_page_makes_a_session_and_shows_its_answer_as_it_comes(
    chromium: str, listening: Listening, site: WebSite, home: Home
) -> None:
    prompt = script('text: {value: "Grüße 🙂 ", delta_chars: 3, delay_ms: 1, repeat: 100, end: true}')
    task = session_task(listening, home, prompt)
    with (
        tapping(listening.port) as tap,
        open_page(chromium, listening, tap, site.url("session.html", task)),
    ):
        assert site.posted("/streaming") > 0
        outcome = site.posted("/outcome")
    assert "error" not in outcome, outcome
    assert outcome["text"] == "Grüße 🙂 " * 100
    assert types(outcome["events"])[-1] == "run_completed"
    assert types(outcome["events"]).count("token_delta") > 1
    assert outcome["states"] == ["open"]
    assert [exchange.status for exchange in tap.exchanges] == [101]
    with Owner(listening.record) as owner:
        assert_all_of_the_log(outcome, owner.log(outcome["sessionId"]))


def test_a_page_whose_connection_is_cut_misses_nothing_and_sees_nothing_twice(
    chromium: str, listening: Listening, site: WebSite, home: Home
) -> None:
    prompt = script('interleave: {blocks: 4, count: 2000, per_second: 2000, text: "tick🙂"}')
    task = session_task(listening, home, prompt)
    with (
        tapping(listening.port, CUTS) as tap,
        open_page(chromium, listening, tap, site.url("session.html", task)),
    ):
        site.posted("/streaming")
        outcome = site.posted("/outcome")
    assert "error" not in outcome, outcome
    assert tap.cuts == CUTS.count
    assert outcome["states"] == ["open", *(["connecting", "open"] * CUTS.count)]
    assert types(outcome["events"]).count("token_delta") == 2000
    assert outcome["text"].split() == ["tick🙂" * 500] * 4
    with Owner(listening.record) as owner:
        assert_all_of_the_log(outcome, owner.log(outcome["sessionId"]))


def test_a_page_goes_on_after_its_daemon_was_killed_and_started_again(
    chromium: str, listening: Listening, site: WebSite, home: Home
) -> None:
    endless = script('interleave: {blocks: 2, count: 1000000, per_second: 2000, text: "tick"}')
    task = session_task(listening, home, endless, script("text: And on."))
    with (
        tapping(listening.port) as tap,
        open_page(chromium, listening, tap, site.url("session.html", task)),
    ):
        site.posted("/streaming")
        listening.process.kill()
        record = listening.process.start("--ws", str(listening.port), *listening.flags)
        outcome = site.posted("/outcome")
    assert "error" not in outcome, outcome
    assert record["instanceId"] != listening.record["instanceId"]
    assert outcome["states"] == ["open", "connecting", "open"]
    assert types(outcome["events"]).count("run_interrupted") == 1
    assert types(outcome["events"])[-1] == "run_completed"
    deltas = [event["text"] for event in outcome["events"] if event["type"] == "token_delta"]
    *cut_off, last = outcome["text"].split("\n\n")
    assert last == "And on."
    assert "".join(cut_off) == "".join(deltas[:-1]), "what it had shown before is still there"
    with Owner(record) as owner:
        assert_all_of_the_log(outcome, owner.log(outcome["sessionId"]))


def test_the_client_says_that_its_token_is_not_accepted(
    chromium: str, listening: Listening, site: WebSite, home: Home
) -> None:
    task = session_task(listening, home, "say hello") | {"token": "wrong"}
    with (
        tapping(listening.port) as tap,
        open_page(chromium, listening, tap, site.url("session.html", task)),
    ):
        outcome = site.posted("/outcome")
    assert outcome["kind"] == "unreachable"
    assert "does not accept the token" in outcome["error"]
    assert (outcome["states"], outcome["text"]) == ([], "")
    assert [exchange.status for exchange in tap.exchanges] == [401]
    with Owner(listening.record) as owner:
        assert owner.call("session/list")["sessions"] == []
