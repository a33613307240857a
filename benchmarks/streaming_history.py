"""A prompt in a long session: how long the daemon answers nobody else while it asks the model."""

import time

from benchmarks.daemon import Daemon, running, temporary_home
from benchmarks.pairs import Sample, Scale, alternate, median
from benchmarks.result import Row, Spec, rows
from benchmarks.streaming import command, session
from benchmarks.streaming_ask import Ask, started
from benchmarks.wire import Wire

NAME = "long-history"
TITLE = "a prompt in a session of 600 messages, for the others"

_PROMPTS = (300, 3)
"""Each with its answer: two messages."""

_ANSWER = 800
"""Words of each answer, some 4 KiB."""

_WATCHED_S = 0.3
"""From the prompt on; the answer, of one word, has ended long before."""

_ROUNDS = (5, 1)

_SPECS = [
    Spec(
        "stall",
        "the longest `ping` on another connection, from the prompt on",
        "ms",
        "the same in a session without messages",
        20,
        "value",
    ),
    Spec("ping", "a `ping` meanwhile, p50", "ms", "the same in a session without messages"),
]


def measure(scale: Scale) -> list[Row]:
    """Measure a long session, and a new one beside it."""
    with (
        started("streaming_vendor") as (_, port),
        temporary_home() as home,
        running(home, command(home, int(port))) as daemon,
        daemon.connect() as wire,
    ):
        long = session(daemon, "messages")
        for _ in range(scale.of(*_PROMPTS)):
            wire.call("session/wait", sessionId=long, runId=_prompt(wire, long, _ANSWER))
        return rows(
            alternate(
                scale.pairs,
                lambda: _watched(daemon, wire, long, scale),
                lambda: _watched(daemon, wire, session(daemon, "messages"), scale),
            ),
            _SPECS,
        )


def _prompt(wire: Wire, session_id: str, words: int) -> str:
    content = [{"type": "text", "text": Ask(wire="messages", count=words, per_second=0).prompt}]
    return str(wire.call("session/prompt", sessionId=session_id, content=content)["runId"])


def _watched(daemon: Daemon, wire: Wire, session_id: str, scale: Scale) -> Sample:
    """Prompt several times; give the usual longest `ping` from the prompt to the end of the answer."""
    longest: list[float] = []
    usual: list[float] = []
    with daemon.connect() as other:
        for _ in range(scale.of(*_ROUNDS)):
            run_id = _prompt(wire, session_id, 1)
            ends_at = time.monotonic() + _WATCHED_S
            took: list[float] = []
            while time.monotonic() < ends_at:
                before = time.perf_counter()
                other.call("ping")
                took.append((time.perf_counter() - before) * 1000)
            longest.append(max(took))
            usual.append(median(took))
            wire.call("session/wait", sessionId=session_id, runId=run_id)
    return {"stall": median(longest), "ping": median(usual)}
