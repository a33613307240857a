"""Requests that fit the published schema, and requests one change away from fitting.

The answer is a result of the published type or one of the errors the method names; a bug is never one.
"""

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from live_daemon import LIVE, BlockingClient, against_live_daemon, initialized
from schema_values import DEFS, Hints, one_change, values
from stated_answers import check_error

from fakes.daemons import Endpoint, Home
from holdfast_protocol.methods import CALLS
from holdfast_protocol.methods.table import COMMON_ERRORS

ENDS_THE_DAEMON = {"daemon/drain", "daemon/shutdown"}
"""Asked only in ways that cannot fit."""

METHODS = sorted(CALLS.keys() - {"initialize", "rpc.discover"})

RESULTS = {
    name: jsonschema_rs.validator_for({"$ref": f"#/$defs/{CALLS[name].result.__name__}", "$defs": DEFS})
    for name in METHODS
    if CALLS[name].result is not None
}


def _hints(home: Home, session_ids: list[str]) -> Hints:
    """Let most requests reach a session that exists, and none wait for long."""
    return Hints(
        {
            "sessionId": st.sampled_from([*session_ids, *session_ids, "nobody"]),
            "newSessionId": st.none() | st.sampled_from(["fork-1", "fork-2", *session_ids]),
            "cwd": st.sampled_from([str(home.work), str(home.work), "/no/such/directory"]),
            "roots": st.lists(st.sampled_from([str(home.work), "/", "relative"]), max_size=2),
            "model": st.sampled_from([None, "offline/rehearsal", "no/such"]),
            "agent": st.sampled_from([None, "chat", "nobody"]),
            "types": st.none()
            | st.lists(st.sampled_from(["run_started", "token_delta", "nothing"]), min_size=1),
            "timeoutMs": st.integers(0, 20),
        }
    )


def _requests(hints: Hints) -> st.SearchStrategy[tuple[str, Any]]:
    def of(method: str) -> st.SearchStrategy[tuple[str, Any]]:
        params = values(DEFS[CALLS[method].params.__name__], hints)
        if method in ENDS_THE_DAEMON:
            return st.sampled_from(
                [{"cancel": "no", "graceMs": -1}, [True], {"cancel": 0, "graceMs": None}]
            ).map(lambda bad: (method, bad))
        changed = params.flatmap(one_change)
        return st.tuples(st.just(method), params | changed).map(_in_time)

    return st.sampled_from(METHODS).flatmap(of)


def _in_time(request: tuple[str, Any]) -> tuple[str, Any]:
    """A wait that may last an hour by a change of the time-out waits no longer here."""
    method, params = request
    if method == "session/wait" and isinstance(params, dict):
        timeout_ms = params.get("timeoutMs", 0)
        if isinstance(timeout_ms, int) and not isinstance(timeout_ms, bool) and timeout_ms > 20:
            return method, {**params, "timeoutMs": 0}
        return method, {"timeoutMs": 0, **params}
    return request


def _check(method: str, params: Any, answer: dict[str, Any]) -> None:
    check_error(answer)
    if "error" in answer:
        kind = answer["error"]["data"]["kind"]
        event(f"{method}: {kind}")
        if params is not None and not isinstance(params, dict | list):
            assert kind == "invalid_request"
        else:
            assert kind in {*CALLS[method].errors, *COMMON_ERRORS} - {"internal_error", "overloaded"}
    else:
        event(f"{method}: result")
        if method in RESULTS:
            RESULTS[method].validate(answer["result"])


def _sessions(client: BlockingClient, home: Home) -> list[str]:
    """Make a session with a run, and a fresh one."""
    created = [client.call("session/create", {"cwd": str(home.work)}) for _ in range(2)]
    ids = [answer["result"]["sessionId"] for answer in created]
    content = [{"type": "text", "text": "say hello"}]
    started = client.call("session/prompt", {"sessionId": ids[0], "content": content})["result"]
    client.call("session/wait", {"sessionId": ids[0], "runId": started["runId"]})
    return ids


async def test_requests_near_the_schema_get_results_or_the_errors_their_method_names(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    def examples(endpoint: Endpoint) -> None:
        @LIVE
        @given(st.data())
        def holds(data: st.DataObject) -> None:
            with initialized(endpoint, "lines") as client:
                hints = _hints(home, _sessions(client, home))
                for method, params in data.draw(st.lists(_requests(hints), min_size=1, max_size=12)):
                    _check(method, params, client.call(method, params))
                assert client.call("ping", {})["result"] == {}

        holds()

    await against_live_daemon(home, examples)
    assert [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}] == []
