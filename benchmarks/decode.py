"""Decoding: what strictness costs on a request as clients send them."""

import time
from collections.abc import Callable

import msgspec

from benchmarks.pairs import Sample, Scale, alternate
from benchmarks.result import Row, Spec, rows
from holdfast_protocol import jsonrpc

NAME = "decode"
TITLE = "`jsonrpc.decode` of one request"

_CALLS = (100_000, 1000)
_FLOOR_IS = "`msgspec.json.Decoder().decode`, which checks neither depth, members, duplicates nor UTF-8"
_PROMPT = (
    b'{"jsonrpc":"2.0","id":17,"method":"session/prompt","params":{"sessionId":"s-4f1c9e02a77b41d8",'
    b'"content":[{"type":"text","text":"Find out why the second test fails, and mend it."}],'
    b'"promptId":"p-0b5d6c1e","delivery":"queue"}}'
)
_PING = b'{"jsonrpc":"2.0","id":17,"method":"ping"}'
_SPECS = [
    Spec("prompt", f"a prompt of {len(_PROMPT)} bytes, CPU", "us", _FLOOR_IS),
    Spec("ping", f"a ping of {len(_PING)} bytes, CPU", "us", _FLOOR_IS),
]


def measure(scale: Scale) -> list[Row]:
    """Measure in this process."""
    calls = scale.of(*_CALLS)
    untyped = msgspec.json.Decoder().decode
    pairs = alternate(scale.pairs, lambda: _sample(jsonrpc.decode, calls), lambda: _sample(untyped, calls))
    return rows(pairs, _SPECS)


def _sample(decode: Callable[[bytes], object], calls: int) -> Sample:
    return {"prompt": _cpu_us(decode, _PROMPT, calls), "ping": _cpu_us(decode, _PING, calls)}


def _cpu_us(decode: Callable[[bytes], object], frame: bytes, calls: int) -> float:
    before = time.process_time_ns()
    for _ in range(calls):
        decode(frame)
    return (time.process_time_ns() - before) / calls / 1000
