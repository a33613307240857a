"""What runs, what asks and what is refused in each mode, in real runs (design.md section 7, "Modes")."""

import pytest
from interaction_world import resident
from person import calling, script, shell
from recorder import NAME, Recorder

from fakes.raw_client import Refused

DONE = {"text": "done"}

RUNS, ASKS, REFUSED = "tool_call_started", "request_opened", "tool_call_failed"


def hosted(name, kind):
    return {"name": name, "description": "Hosted.", "inputSchema": {"type": "object"}, "kind": kind}


CALLS = {
    "read": ("read", {"path": "notes"}),
    "list": ("list", {"path": "."}),
    "glob": ("glob", {"pattern": "*"}),
    "grep": ("grep", {"pattern": "some"}),
    "todo": ("todo", {"entries": [{"content": "one", "status": "pending"}]}),
    "write": ("write", {"path": "new", "content": "x"}),
    "edit": ("edit", {"path": "notes", "old": "some", "new": "other"}),
    "shell": shell("echo x > ran"),
    "look": ("look", {}),
    "change": ("change", {}),
    "press": ("press", {}),
    "execute": ("execute", {"command": "x"}),
}

HOSTED = [
    hosted("look", "read"),
    hosted("change", "edit"),
    hosted("press", "other"),
    hosted("execute", "execute"),
]

TABLE = {
    # tool: plan, ask, accept_edits, auto
    "read": (RUNS, RUNS, RUNS, RUNS),
    "list": (RUNS, RUNS, RUNS, RUNS),
    "glob": (RUNS, RUNS, RUNS, RUNS),
    "grep": (RUNS, RUNS, RUNS, RUNS),
    "todo": (RUNS, RUNS, RUNS, RUNS),
    "write": (REFUSED, ASKS, RUNS, RUNS),
    "edit": (REFUSED, ASKS, RUNS, RUNS),
    "shell": (REFUSED, ASKS, ASKS, ASKS),
    "look": (RUNS, RUNS, RUNS, RUNS),
    "change": (REFUSED, ASKS, ASKS, RUNS),
    "press": (REFUSED, ASKS, ASKS, RUNS),
    "execute": (REFUSED, ASKS, ASKS, ASKS),
}

MODES = ("plan", "ask", "accept_edits", "auto")


async def first_of_each(ann, session, tools):
    """Give what became of each call first."""
    await ann.prompt(
        session, script({"call": [dict(zip(("tool", "input"), CALLS[t], strict=True)) for t in tools]})
    )
    found = {}
    while len(found) < len(tools):
        event = await ann.event(RUNS, ASKS, REFUSED)
        found.setdefault(event["toolCallId"], event["type"])
    return dict(zip(tools, (found[f"r1-m1-t{n}"] for n in range(1, len(tools) + 1)), strict=True))


@pytest.mark.parametrize("mode", MODES)
async def test_each_tool_in_each_mode(home, mode):
    (home.work / "notes").write_text("some notes\n", encoding="utf-8")
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, mode=mode)
        await ann.call("tool/register", sessionId=session, tools=HOSTED)
        at = MODES.index(mode)
        expected = {tool: row[at] for tool, row in TABLE.items()}
        assert await first_of_each(ann, session, list(TABLE)) == expected
        await ann.call("session/cancel", sessionId=session)
        await ann.end()
        for failed in ann.heard("tool_call_failed"):
            if expected.get("write") == REFUSED and failed["error"]["kind"] == "denied":
                assert "Plan mode" in failed["error"]["message"]


@pytest.mark.parametrize("mode", ["ask", "accept_edits", "auto"])
async def test_the_shell_asks_in_every_mode_and_takes_no_answer_for_good(home, mode):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work, mode=mode)
        await ann.prompt(session, script(calling(shell("echo x >> ran")), DONE))
        asked = await ann.event("request_opened")
        assert [(option["id"], option["kind"]) for option in asked["options"]] == [
            ("allow_once", "allow_once"),
            ("allow_session", "allow_session"),
            ("deny", "deny"),
        ]
        for outcome, more in (("allow", {"scope": "always"}), ("allow_always", {})):
            with pytest.raises(Refused) as refused:
                await ann.answer_request(asked, outcome, **more)
            assert refused.value.error["data"]["kind"] == "invalid_params"
        assert await ann.open_requests(session) == [asked["requestId"]]
        assert (await ann.call("rule/list"))["rules"] == []
        assert not (home.work / "ran").exists()
        assert (await ann.answer_request(asked, "allow_session"))["accepted"]
        await ann.end()
        assert (home.work / "ran").read_text(encoding="utf-8") == "x\n"


async def test_a_write_takes_an_answer_for_good(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, "write new: x")
        asked = await ann.event("request_opened")
        assert [option["id"] for option in asked["options"]] == [
            "allow_once",
            "allow_session",
            "allow_always",
            "deny",
        ]
        await ann.answer_request(asked, "allow_always")
        await ann.end()
        rules = (await ann.call("rule/list"))["rules"]
        assert [(rule["tool"], rule["decision"]) for rule in rules] == [("write", "allow")]


async def test_what_is_asked_shows_exactly_what_is_to_run(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(shell("echo 'a  b' \\\n && true")), DONE))
        asked = await ann.event("request_opened")
        assert asked["kind"] == "permission"
        detail = asked["detail"]
        assert detail["input"] == {"command": "echo 'a  b' \\\n && true"}
        assert detail["match"] == detail["input"]["command"]
        assert (detail["tool"], detail["kind"], detail["roots"]) == ("shell", "execute", [str(home.work)])
        assert len(detail["binding"]) == 64
        await ann.answer_request(asked, "allow")
        assert (await ann.event("tool_call_started"))["input"] == detail["input"]
        await ann.end()


async def test_two_questions_about_the_same_command_are_bound_apart(home):
    """An approval is for one call: the next one asks again, bound to another run."""
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        bindings = []
        for _ in range(2):
            await ann.prompt(session, "run: echo x >> ran")
            asked = await ann.event("request_opened")
            bindings.append(asked["detail"]["binding"])
            await ann.answer_request(asked, "allow")
            await ann.end()
        assert bindings[0] != bindings[1]


# A mode for one prompt, and a mode that changes -------------------------------------------------------------


async def test_a_mode_of_a_prompts_own_holds_for_its_run_alone(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, "write one: x", mode="auto")
        assert (await ann.event("run_started"))["mode"] == "auto"
        await ann.end()
        assert (home.work / "one").exists()
        assert ann.heard("request_opened", "session_updated") == []
        await ann.prompt(session, "write two: x")
        assert "mode" not in await ann.event("run_started")
        await ann.answer_request(await ann.event("request_opened"), "deny")
        await ann.end()
        assert not (home.work / "two").exists()
        settings = (await ann.call("session/get", sessionId=session))["snapshot"]["settings"]
        assert settings.get("mode", "ask") == "ask"


async def test_a_prompts_own_mode_waits_with_it_in_the_queue(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, "run: true")
        asked = await ann.event("request_opened")
        await ann.prompt(session, "write one: x", mode="accept_edits")
        await ann.prompt(session, "write two: x", mode="plan")
        await ann.answer_request(asked, "allow")
        modes = [(await ann.event("run_started", runId=run)).get("mode") for run in ("r2", "r3")]
        assert modes == ["accept_edits", "plan"]
        await ann.answer_request(await ann.event("request_opened", kind="question"), "stop")
        await ann.event("run_completed", runId="r3")
        assert (home.work / "one").exists()
        assert not (home.work / "two").exists()


async def test_a_mode_of_a_prompts_own_is_not_changed_by_the_sessions(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        calls = [calling(shell("true")), calling(("write", {"path": "new", "content": "x"})), DONE]
        await ann.prompt(session, script(*calls), mode="ask")
        asked = await ann.event("request_opened")
        await ann.call("session/update", sessionId=session, mode="auto")
        await ann.answer_request(asked, "allow")
        asked = await ann.event("request_opened")
        assert asked["detail"]["tool"] == "write"
        await ann.answer_request(asked, "deny")
        await ann.end()


async def test_a_session_that_becomes_wider_in_mid_run_asks_no_more(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(
            session, script(calling(shell("true")), calling(("write", {"path": "new", "content": "x"})), DONE)
        )
        asked = await ann.event("request_opened")
        await ann.call("session/update", sessionId=session, mode="auto")
        assert await ann.open_requests(session) == [asked["requestId"]], "what was asked stays asked"
        await ann.answer_request(asked, "allow")
        await ann.end()
        assert len(ann.heard("request_opened")) == 1
        assert (home.work / "new").exists()


@pytest.mark.parametrize("mode", ["everything", "", "AUTO", None])
async def test_a_mode_there_is_none_of_is_refused(home, mode):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        calls = [
            ("session/update", {"sessionId": session, "mode": mode}),
            ("session/create", {"cwd": str(home.work), "mode": mode}),
        ]
        if mode is not None:
            calls.append(("session/prompt", {"sessionId": session, "content": [], "mode": mode}))
        for method, params in calls:
            with pytest.raises(Refused) as refused:
                await ann.call(method, **params)
            assert refused.value.error["data"]["kind"] == "invalid_params"
        assert ann.heard("session_updated", "run_started") == []


# The model --------------------------------------------------------------------------------------------------


async def test_the_model_changes_in_mid_session_for_later_runs_alone(home, monkeypatch):
    recorder = Recorder()
    recorder.install(monkeypatch)
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(shell("true")), DONE))
        asked = await ann.event("request_opened")
        await ann.call("session/update", sessionId=session, model=NAME)
        switched = await ann.event("model_switched")
        assert (switched["model"], switched["previous"]) == (NAME, "offline/rehearsal")
        await ann.answer_request(asked, "allow")
        await ann.end()
        assert recorder.asked == [], "the run keeps the model it began with"
        await ann.prompt(session, "say more")
        assert (await ann.event("run_started"))["model"] == NAME
        await ann.end()
        assert [who for who, _ in recorder.asked[0]] == ["user", "model", "tools", "model", "user"]


async def test_a_model_of_a_prompts_own_is_for_its_run_alone(home, monkeypatch):
    recorder = Recorder()
    recorder.install(monkeypatch)
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        for text, model in (("say one", None), ("say two", NAME), ("say three", None)):
            await ann.prompt(session, text, **({} if model is None else {"model": model}))
            assert (await ann.event("run_started"))["model"] == (model or "offline/rehearsal")
            await ann.end()
        assert len(recorder.asked) == 1
        assert ann.heard("model_switched") == []


async def test_a_model_there_is_none_of_is_not_found(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        for method, params in (
            ("session/update", {}),
            ("session/prompt", {"content": [{"type": "text", "text": "x"}]}),
        ):
            with pytest.raises(Refused) as refused:
                await ann.call(method, sessionId=session, model="nobody/nothing", **params)
            assert refused.value.error["data"]["kind"] == "not_found"
            assert refused.value.error["data"]["resource"] == "model"
