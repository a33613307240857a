"""Any bytes on a live connection: the stated answer, no crash, and the daemon lives (P14)."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_daemon import LIVE, BlockingClient, FramingName, against_live_daemon, initialized
from stated_answers import SERVED, Stated, check_error, stated_answer

from fakes.daemons import Endpoint, Home

CALLS: tuple[tuple[str, Any], ...] = (
    ("ping", None),
    ("ping", {}),
    ("session/list", {"limit": 3}),
    ("session/list", {"limit": "all"}),
    ("session/get", {"sessionId": "nobody"}),
    ("session/cancel", {"sessionId": "nobody"}),
    ("session/prompt", {"sessionId": "nobody", "content": [{"type": "text", "text": "hi"}]}),
    ("model/list", []),
    ("session/levitate", {"x": 1}),
    ("initialize", {}),
)

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=10)
    | st.sampled_from([2**63, 2**63 - 1, -(2**63), -(2**63) - 1, 2**64, 1e308, 0.1, "2.0", "ping", ""])
)

VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    method, params = draw(st.sampled_from(CALLS))
    call_id = draw(st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20))
    return _dumps({"jsonrpc": "2.0", "id": call_id, "method": method, "params": params})


@st.composite
def envelopes(draw: st.DrawFn) -> bytes:
    """Objects with the members of messages: each may be absent, of any value, or there twice."""
    usual: dict[str, st.SearchStrategy[Any]] = {
        "jsonrpc": st.just("2.0"),
        "id": st.integers(0, 1000),
        "method": st.sampled_from([method for method, _ in CALLS]),
        "params": st.none() | st.just({}),
        "result": st.none(),
        "error": st.just({"code": 1, "message": "x"}),
    }
    names = draw(st.lists(st.sampled_from(list(usual)), max_size=6))
    members = [(name, draw(st.one_of(usual[name], usual[name], VALUES))) for name in names]
    inner = b",".join(_dumps(name) + b":" + _dumps(value) for name, value in members)
    return b"{" + inner + b"}"


@st.composite
def mutated(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """A body with a piece of it cut out, doubled, or replaced by other bytes."""
    body = draw(bodies)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, min(len(body), start + 8)))
        piece = draw(st.just(b"") | st.just(body[start:end] * 2) | st.binary(max_size=4) | JSON_PIECES)
        body = body[:start] + piece + body[end:]
    return body


JSON_PIECES = st.sampled_from(
    [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u", b"null", b"0", b"-", b"e9"]
)

NESTED = st.builds(
    lambda opener, depth, closed: opener * depth + (b"]" * depth if closed and opener == b"[" else b""),
    st.sampled_from([b"[", b'{"a":', b"[[0],"]),
    st.integers(1, 2000),
    st.booleans(),
)

BODIES = st.one_of(
    requests(),
    envelopes(),
    mutated(requests()),
    mutated(envelopes()),
    VALUES.map(_dumps),
    NESTED,
    st.binary(max_size=60),
)


def _send_in_pieces(client: BlockingClient, data: bytes, cuts: list[float]) -> None:
    places = sorted(int(cut * len(data)) for cut in cuts)
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        client.send(data[start:end])


def _check_answers(stated: list[Stated], answers: list[dict[str, Any]]) -> None:
    for answer in answers:
        check_error(answer)
    due = [one for one in stated if one.code is not None]
    ids = Counter(repr(one.id) for one in due)
    if any(one.disputed for one in stated):
        return  # How many answers are due is disputed too.
    assert len(answers) == len(due)
    for one in due:
        if one.id is None:
            continue
        found = [
            answer for answer in answers if answer["id"] == one.id and type(answer["id"]) is type(one.id)
        ]
        if ids[repr(one.id)] > 1:
            continue  # The second one may find the first one's id in flight.
        assert len(found) == 1, one
        code = found[0].get("error", {}).get("code", SERVED)
        assert (code not in {-32700, -32600}) if one.code == SERVED else (code == one.code)
    if not any(count > 1 for key, count in ids.items() if key != "None"):
        null_codes = Counter(answer["error"]["code"] for answer in answers if answer["id"] is None)
        assert null_codes == Counter(one.code for one in due if one.id is None)


@pytest.mark.parametrize("framing", ["lines", "headers"])
async def test_any_frames_get_their_stated_answers_and_the_connection_goes_on(
    home: Home, framing: FramingName, caplog: pytest.LogCaptureFixture
) -> None:
    def examples(endpoint: Endpoint) -> None:
        @LIVE
        @given(st.lists(BODIES, min_size=1, max_size=8), st.lists(st.floats(0, 1), max_size=4))
        def holds(bodies: list[bytes], cuts: list[float]) -> None:
            if framing == "lines":
                bodies = [body.replace(b"\n", b" ") for body in bodies]
                bodies = [body for body in bodies if body.strip(b"\r\n\t ")]
            stated = [stated_answer(body) for body in bodies]
            with initialized(endpoint, framing) as client:
                _send_in_pieces(client, b"".join(map(client.frame, bodies)), cuts)
                certain = sum(one.code is not None and not one.disputed for one in stated)
                client.read_until(lambda: len(client.answers) >= certain)
                assert client.call("ping", {})["result"] == {}
                client.finish_writing()
                client.read_to_the_end()
                _check_answers(stated, client.answers)

        holds()

    await against_live_daemon(home, examples)
    assert [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}] == []


async def test_any_bytes_after_initialize_leave_the_daemon_alive(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    """Headers that are none, wrong lengths, bodies that are cut: an answer or a closed connection."""

    def examples(endpoint: Endpoint) -> None:
        streams = st.lists(requests(), min_size=1, max_size=4).map(_with_headers)

        @LIVE
        @given(mutated(streams) | st.binary(max_size=200))
        def holds(data: bytes) -> None:
            with initialized(endpoint, "headers") as client:
                client.send_what_is_taken(data)
                client.read_to_the_end()
                for answer in client.answers:
                    check_error(answer)
            with initialized(endpoint, "lines") as client:
                assert client.call("session/list", {})["result"] == {"sessions": []}

        holds()

    await against_live_daemon(home, examples)
    assert [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}] == []


def _with_headers(bodies: list[bytes]) -> bytes:
    return b"".join(b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies)


REFUSED_EARLY = {-32011, -32000, -32005, -32602}


@st.composite
def handshakes(draw: st.DrawFn) -> bytes:
    """Bytes that begin a connection, with no or the wrong token: nothing may be served."""
    params = {
        "protocol": draw(st.just("holdfast") | VALUES),
        "versions": draw(st.just([1]) | VALUES),
        "client": draw(st.just({"id": "x"}) | VALUES),
        "token": draw(st.none() | st.text(max_size=50) | VALUES),
    }
    body = _dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
    bodies = [body, *draw(st.lists(requests(), max_size=3))]
    stream = draw(st.sampled_from([_with_headers(bodies), b"\n".join([*bodies, b""])]))
    return draw(st.just(stream) | mutated(st.just(stream)) | st.binary(min_size=1, max_size=60))


async def test_no_bytes_but_a_token_open_a_connection(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    """P6: whatever comes without the token is refused once, or in silence, and the connection closes."""

    def examples(endpoint: Endpoint) -> None:
        @LIVE
        @given(handshakes())
        def holds(data: bytes) -> None:
            with BlockingClient(endpoint, "headers" if data[:1] in b"Cc" else "lines") as client:
                client.send_what_is_taken(data)
                client.read_to_the_end()
                assert len(client.answers) <= 1
                for answer in client.answers:
                    check_error(answer)
                    assert answer["error"]["code"] in REFUSED_EARLY

        holds()
        with initialized(endpoint, "lines") as client:
            status = client.call("daemon/status", {})["result"]
            assert status["net"]["unauthenticated"] == 0
            assert status["net"]["connections"] == 1

    await against_live_daemon(home, examples)
    assert [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}] == []
