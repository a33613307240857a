"""`holdfast run` against a scripted daemon: what a healthy one does not do on demand."""

import json
from typing import Any

import pytest
from shell_world import Home, Peer, ScriptedDaemon, wire_form

from holdfast_protocol import events
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Usage


def create(peer: Peer) -> dict[str, Any]:
    """Play the daemon up to and with the subscription; give the params of `session/create`."""
    peer.shake_hands()
    call = peer.receive()
    assert call["method"] == "session/create"
    session_id = call["params"]["sessionId"]
    peer.send({"id": call["id"], "result": {"sessionId": session_id, "epoch": "e1", "seq": 1}})
    subscribe(peer)
    return call["params"]


def subscribe(peer: Peer, head: int = 0) -> dict[str, Any]:
    return peer.answer({"epoch": "e1", "from": 1, "head": head, "oldest": 1})["params"]


def admit(peer: Peer, **result: Any) -> dict[str, Any]:
    call = peer.receive()
    assert call["method"] == "session/prompt"
    admitted = {
        "promptId": call["params"]["promptId"],
        "status": "started",
        "seq": 2,
        "runId": "r1",
        **result,
    }
    peer.send({"id": call["id"], "result": admitted})
    return call["params"]


def send(peer: Peer, session_id: str, first: int, *sent: events.EventBase, run_id: str | None = "r1") -> None:
    shown = [wire_form(event, seq, run_id) for seq, event in enumerate(sent, first)]
    last = first + len(shown) - 1
    batch = {"sessionId": session_id, "epoch": "e1", "from": first, "to": last, "events": shown}
    peer.notify("session/events", **batch)


def run_started(prompt_id: str) -> events.RunStarted:
    return events.RunStarted(prompt_id=prompt_id, agent="chat", model="m")


def block(text: str) -> events.ContentBlockEnd:
    return events.ContentBlockEnd(block_id="b1", message_id="m1", step=1, kind="text", text=text)


COMPLETED = events.RunCompleted(stop_reason="end_turn", usage=Usage(), duration_ms=1, steps=1)


def test_a_prompt_whose_answer_was_lost_is_sent_again_under_the_same_id(home: Home) -> None:
    prompts = []

    def dies_while_admitting(peer: Peer) -> None:
        create(peer)
        prompts.append(peer.receive()["params"])

    def comes_back(peer: Peer) -> None:
        peer.shake_hands()
        session_id = subscribe(peer)["sessionId"]
        prompts.append(admit(peer))
        send(peer, session_id, 1, run_started(prompts[1]["promptId"]), block("Once."), COMPLETED)

    with ScriptedDaemon(home, dies_while_admitting, comes_back):
        ran = home.run("run", "do it")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "Once.\n"
    assert prompts[0] == prompts[1]


def test_an_admitted_prompt_is_not_sent_again(home: Home) -> None:
    def dies_after_admission(peer: Peer) -> None:
        params = create(peer)
        prompt_id = admit(peer)["promptId"]
        send(peer, params["sessionId"], 1, run_started(prompt_id))

    def comes_back(peer: Peer) -> None:
        peer.shake_hands()
        params = subscribe(peer)
        assert params["after"] == 1
        send(peer, params["sessionId"], 2, block("Done."), COMPLETED)
        assert peer.receive_end() == []

    with ScriptedDaemon(home, dies_after_admission, comes_back):
        ran = home.run("run", "do it")

    assert (ran.returncode, ran.stdout) == (0, "Done.\n"), ran.stderr


@pytest.mark.parametrize(
    ("event", "code", "status", "said"),
    [
        (
            events.RequestOpened(
                request_id="q1", kind="permission", title="Run rm -rf build?", detail={}, options=()
            ),
            5,
            "waiting",
            "needs an answer: Run rm -rf build?",
        ),
        (events.RunPaused(reason="budget"), 3, "paused", "paused: budget"),
    ],
)
def test_a_run_that_waits_for_a_person_is_left_waiting_where_there_is_none(
    home: Home, event: events.EventBase, code: int, status: str, said: str
) -> None:
    def waits(peer: Peer) -> None:
        params = create(peer)
        prompt_id = admit(peer)["promptId"]
        send(peer, params["sessionId"], 1, run_started(prompt_id), event)
        peer.receive_end()

    with ScriptedDaemon(home, waits):
        ran = home.run("run", "--format", "json", "do it")
    result = json.loads(ran.stdout)

    assert (ran.returncode, result["exitCode"], result["status"]) == (code, code, status)
    assert said in ran.stderr
    assert f"holdfast approve {result['sessionId']}" in ran.stderr


def test_a_session_deleted_under_a_waiting_prompt_ends_the_command(home: Home) -> None:
    def deletes(peer: Peer) -> None:
        params = create(peer)
        admit(peer, status="queued", runId=None, position=1)
        peer.answer({"session": {}, "snapshot": {"head": 1, "status": "running"}})
        send(peer, params["sessionId"], 1, events.SessionEnded(reason="deleted"), run_id=None)
        peer.receive_end()

    with ScriptedDaemon(home, deletes):
        ran = home.run("run", "--format", "json", "do it")

    assert ran.returncode == 130
    assert json.loads(ran.stdout)["status"] == "removed"


def test_a_prompt_the_daemon_refuses_ends_the_command_with_the_reason(home: Home) -> None:
    def refuses(peer: Peer) -> None:
        create(peer)
        peer.refuse(-32001, "overloaded", retryable=True, limit="queued_prompts_max")

    with ScriptedDaemon(home, refuses):
        ran = home.run("run", "--format", "stream-json", "do it")

    assert ran.returncode == 75
    assert json.loads(ran.stdout.splitlines()[-1])["error"]["kind"] == "overloaded"


def test_events_of_another_s_run_are_passed_over(home: Home) -> None:
    def two_runs(peer: Peer) -> None:
        params = create(peer)
        session_id = params["sessionId"]
        prompt_id = admit(peer, status="queued", runId=None, position=1)["promptId"]
        peer.answer({"session": {}, "snapshot": {"head": 1, "status": "running"}})
        received = events.PromptReceived(
            prompt_id="other", content=(TextBlock(text="x"),), delivery="queue", status="started", by="editor"
        )
        send(peer, session_id, 1, received, run_id=None)
        send(peer, session_id, 2, run_started("other"), block("Not ours."), COMPLETED, run_id="r1")
        send(peer, session_id, 5, run_started(prompt_id), block("Ours."), COMPLETED, run_id="r2")

    with ScriptedDaemon(home, two_runs):
        ran = home.run("run", "do it")

    assert (ran.returncode, ran.stdout) == (0, "Ours.\n"), ran.stderr


def test_a_new_session_gets_directory_and_environment_and_no_secret(home: Home) -> None:
    created = []

    def completes(peer: Peer) -> None:
        created.append(create(peer))
        prompt_id = admit(peer)["promptId"]
        send(peer, created[0]["sessionId"], 1, run_started(prompt_id), COMPLETED)

    with ScriptedDaemon(home, completes):
        environ = {"TERM": "xterm", "OPENAI_API_KEY": "sk", "SHELL": "/bin/sh", "LC_ALL": "C.UTF-8"}
        assert home.run("run", "--model", "m", "--title", "T", "do it", env=environ).returncode == 0

    params = created[0]
    assert params["cwd"] == str(home.path)
    assert (params["model"], params["title"]) == ("m", "T")
    assert set(params["env"]) == {"PATH", "HOME", "LANG", "TERM", "SHELL", "LC_ALL"}
