"""A model streams: provider → journal → client, for each chunk of the provider's stream."""

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.daemon import HOLDFASTD, Daemon, running, temporary_home
from benchmarks.load import RUN_END
from benchmarks.pairs import Pair, Sample, Scale, alternate
from benchmarks.reader import Config
from benchmarks.readers import connected
from benchmarks.result import Row, Spec, rows
from benchmarks.streaming_ask import KEY, WIRES, Ask, Wire, started

NAME = "streaming"
TITLE = "provider → journal → client, CPU for each chunk of the provider's stream"

_MODELS: dict[Wire, str] = {
    "messages": "anthropic/claude-opus-5-5",
    "responses": "openai/gpt-6.1-sol",
    "chat": "deepseek/deepseek-flash",
}
_HELPERS: dict[Wire, str] = {
    "messages": "anthropic `messages.stream`",
    "responses": "openai `responses.stream`",
    "chat": "openai `chat.completions.stream`",
}
_STORED: Wire = "messages"
"""What the relay that stores is measured with; the others are much the same to it."""

_BASE = 16
"""Chunks of the response that is taken off: what any request costs."""

_RELAY_IS = (
    "a bare relay: an asyncio protocol that takes the same stream apart, decodes each event "
    "and writes its text to the client's socket"
)
_FASTEST_IS = "the fastest of the SDKs' helpers in the same run, which neither stores nor sends"


class Pace(NamedTuple):
    """How fast chunks come: so many a second; 0: as fast as they are taken."""

    key: str
    said: str
    per_second: int
    chunks: tuple[int, int]


PACES = (
    Pace("paced", "200/s", 200, (400, 20)),
    Pace("full", "at full speed", 0, (20_000, 200)),
)


def measure(scale: Scale) -> list[Row]:
    """Measure the daemon beside the relay and the helpers, whose vendor is a process of its own."""
    with started("streaming_vendor") as (_, port):
        pairs = alternate(scale.pairs, lambda: _daemon(int(port), scale), lambda: _others(int(port), scale))
    return rows([_compared(pair) for pair in pairs], [spec for pace in PACES for spec in _specs(pace)])


def _specs(pace: Pace) -> list[Spec]:
    return [
        *(Spec(f"{wire}_{pace.key}", f"{wire}, {pace.said}", "us", _RELAY_IS, 3) for wire in WIRES),
        Spec(f"most_{pace.key}", f"the dearest of these, {pace.said}", "us", _FASTEST_IS, 1),
        *(
            Spec(f"sdk_{wire}_{pace.key}", f"{_HELPERS[wire]} alone, {pace.said}", "us", _RELAY_IS)
            for wire in WIRES
        ),
        Spec(f"storing_{pace.key}", f"the bare relay, if it stores too, {pace.said}", "us", _RELAY_IS),
    ]


def _compared(pair: Pair) -> Pair:
    """Put beside each other what is compared: helpers and the relay that stores, too, with the bare relay."""
    measured, others = dict(pair.measured), dict(pair.floor)
    for pace in PACES:
        measured[f"most_{pace.key}"] = max(measured[f"{wire}_{pace.key}"] for wire in WIRES)
        helpers = [f"sdk_{wire}_{pace.key}" for wire in WIRES]
        others[f"most_{pace.key}"] = min(others[helper] for helper in helpers)
        for wire, helper in zip(WIRES, helpers, strict=True):
            measured[helper], others[helper] = others[helper], others[f"{wire}_{pace.key}"]
        measured[f"storing_{pace.key}"] = others[f"storing_{pace.key}"]
        others[f"storing_{pace.key}"] = others[f"{_STORED}_{pace.key}"]
    return Pair(measured, others)


# The daemon -------------------------------------------------------------------------------------------


def _daemon(port: int, scale: Scale) -> Sample:
    sample: Sample = {}
    with temporary_home() as home, running(home, command(home, port)) as daemon:
        for wire in WIRES:
            session_id = session(daemon, wire)
            _run(daemon, session_id, Ask(wire=wire, count=_BASE, per_second=0))  # Loads the SDK.
            sample |= _each((wire,), scale, partial(_run, daemon, session_id))
    return sample


def command(home: Path, port: int) -> list[str]:
    """Give the command of a daemon that takes this port for its providers."""
    url = f"http://127.0.0.1:{port}"
    config = home / "streaming.toml"
    config.write_text(
        f'[base_urls]\nanthropic = "{url}"\nopenai = "{url}/v1"\ndeepseek = "{url}/v1"\n', encoding="ascii"
    )
    config.chmod(0o600)
    keys = [f"{name}_API_KEY={KEY}" for name in ("ANTHROPIC", "OPENAI", "DEEPSEEK")]
    return ["env", *keys, HOLDFASTD, "--config", str(config)]


def session(daemon: Daemon, wire: Wire) -> str:
    with daemon.connect() as connection:
        session_id = daemon.create_session(connection)
        connection.call("session/update", sessionId=session_id, model=_MODELS[wire])
        return session_id


def _run(daemon: Daemon, session_id: str, ask: Ask) -> int:
    """Let the model stream to a subscriber; give the daemon's processor time."""
    config = Config(path=daemon.socket, sockets=0, until=RUN_END, token=daemon.token, session=session_id)
    with daemon.connect() as wire, connected(config, 1) as readers:
        before = daemon.cpu_ns
        content = [{"type": "text", "text": ask.prompt}]
        run_id = wire.call("session/prompt", sessionId=session_id, content=content)["runId"]
        readers.wait()
        wire.call("session/wait", sessionId=session_id, runId=run_id)
        return daemon.cpu_ns - before


def _per_chunk(wire: Wire, pace: Pace, scale: Scale, cpu_ns_of: Callable[[Ask], int]) -> float:
    """Give the microseconds of a chunk; what a response has that is hardly a chunk long is taken off."""
    count = scale.of(*pace.chunks)
    base = statistics.median(cpu_ns_of(Ask(wire=wire, count=_BASE, per_second=0)) for _ in range(3))
    taken = cpu_ns_of(Ask(wire=wire, count=_BASE + count, per_second=pace.per_second))
    return max(1, taken - base) / count / 1000


# What it is compared with -----------------------------------------------------------------------------


def _others(port: int, scale: Scale) -> Sample:
    with temporary_home() as home:
        relayed = _relayed(home / "relay", port, scale, WIRES, None)
        stored = _relayed(home / "storing", port, scale, (_STORED,), home / "log")
    with started("streaming_sdks", str(port)) as (helpers, _):
        helped = _each(WIRES, scale, helpers.cpu_ns)
    return (
        relayed
        | {key.replace(_STORED, "storing"): taken for key, taken in stored.items()}
        | {f"sdk_{key}": taken for key, taken in helped.items()}
    )


def _relayed(path: Path, port: int, scale: Scale, wires: Sequence[Wire], log: Path | None) -> Sample:
    arguments = [str(path), str(port)]
    if log is not None:
        log.mkdir()
        arguments.append(str(log))
    config = Config(path=str(path), sockets=0, until=RUN_END)
    with started("streaming_relay", *arguments) as (relay, _), connected(config, 1) as readers:
        sample = _each(wires, scale, relay.cpu_ns)
        relay.end()
        readers.wait()
    return sample


def _each(wires: Sequence[Wire], scale: Scale, cpu_ns_of: Callable[[Ask], int]) -> Sample:
    return {
        f"{wire}_{pace.key}": _per_chunk(wire, pace, scale, cpu_ns_of) for wire in wires for pace in PACES
    }
