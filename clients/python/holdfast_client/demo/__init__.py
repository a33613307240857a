"""The demo: two sessions, two clients, a daemon and a client that are killed, and what remains true.

    run(report, keep=False)    play it, check its claims, tell them; gives whether all of them hold

Everything happens in a temporary directory with a daemon of its own. Reading order: `story` (what happens),
`evidence` (what it leaves), `claims` (what is made of it), `narrator` and `report` (how it is told); below
them the daemon, client 1 and the sample project.
"""

import logging
import os
import platform
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import monotonic
from typing import Final

import anyio

from holdfast_client.demo.broken import StoryBroken
from holdfast_client.demo.claims import CLAIMS, Claim, Unproven
from holdfast_client.demo.client_1_process import Client1Process
from holdfast_client.demo.evidence import Evidence
from holdfast_client.demo.own_daemon import OwnDaemon
from holdfast_client.demo.place import Place, temporary_place
from holdfast_client.demo.report import JsonReport, Report, TextReport
from holdfast_client.demo.story import A, Story
from holdfast_client.errors import ClientError
from holdfast_client.shell.exit_codes import FAILED, OK, CommandFailed
from holdfast_client.shell.screen import open_screen
from holdfast_protocol.errors import RpcError
from holdfast_protocol.version import VERSION

__all__ = ["play", "run"]

TIMEOUT_S: Final = 90.0
"""It takes a few seconds; a starved machine has needed many."""


def run(*, as_json: bool = False, keep: bool = False, color: str = "auto") -> int:
    """Play the demo, tell it on standard output, and give the exit code: 0 only if every claim holds.

    Args:
        as_json: tell it as one JSON object per line.
        keep: leave the sample project and the daemon.
        color: `auto`, `always` or `never`.
    """
    return play(_report(as_json=as_json, color=color), keep=keep)


def play(
    report: Report, *, keep: bool = False, judged: Callable[[Evidence], Evidence] = lambda seen: seen
) -> int:
    """As `run`, told to a report.

    Args:
        report: who is told.
        keep: leave the sample project and the daemon.
        judged: gives the evidence that is judged, from what was gathered; for tests of the judging.
    """
    logging.getLogger("holdfast_client").addHandler(logging.NullHandler())  # The story tells what matters.
    started = monotonic()
    python = f"Python {platform.python_version()}"
    report.step("holdfast", "begins", f"{VERSION} · {python}", "offline/rehearsal (not an AI)")
    error: str | None = None
    failed: list[str] = []
    with _signals_as_interrupts(), temporary_place(keep=keep) as place:
        try:
            failed = _judge(judged(_gather(place, report, keep=keep)), report)
        except* (StoryBroken, RpcError, ClientError, CommandFailed, TimeoutError) as broken:
            error = _explain(broken)
    exit_code = FAILED if error or failed else OK
    report.result(
        {
            "exitCode": exit_code,
            "status": "completed" if exit_code == OK else "failed",
            "failed": failed,
            "error": error,
            "durationMs": round((monotonic() - started) * 1000),
            "kept": {"home": str(place.home), "sample": str(place.sample)} if keep else None,
        }
    )
    return exit_code


def _gather(place: Place, report: Report, *, keep: bool) -> Evidence:
    """Play the story; whatever happens, its processes are ended, the daemon apart if it is kept."""
    daemon = OwnDaemon(place, keep=keep)
    process = Client1Process(place, A)
    try:
        return anyio.run(_play_in_time, Story(place, report, daemon, process))
    finally:
        process.end()
        if not keep:
            daemon.end()


async def _play_in_time(story: Story) -> Evidence:
    with anyio.fail_after(TIMEOUT_S):
        return await story.play()


def _judge(evidence: Evidence, report: Report) -> list[str]:
    """Check and tell every claim; give the names of those that do not hold."""
    return [claim.name for claim in CLAIMS if not _holds(claim, evidence, report)]


def _holds(claim: Claim, evidence: Evidence, report: Report) -> bool:
    try:
        figures = claim.prove(evidence)
    except Unproven as unproven:
        report.claim(claim.name, claim.text, str(unproven))
        return False
    report.claim(claim.name, f"{claim.text}: {figures}" if figures else claim.text, None)
    return True


def _explain(broken: BaseExceptionGroup[Exception]) -> str:
    """Give the first of what went wrong, as a sentence."""
    first: BaseException = broken
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if isinstance(first, TimeoutError):
        return f"it did not come to its end within {TIMEOUT_S:g} s"
    return str(first)


def _report(*, as_json: bool, color: str) -> Report:
    if as_json:
        return JsonReport(sys.stdout)
    screen = open_screen(sys.stdout, sys.stderr, color, os.environ, activity_is_data=True)
    return TextReport(screen.text)


@contextmanager
def _signals_as_interrupts() -> Generator[None]:
    """Let what asks the demo to end act like Ctrl-C, so that it leaves nothing behind."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        for number in before:
            signal.signal(number, signal.default_int_handler)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
