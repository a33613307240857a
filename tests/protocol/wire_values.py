"""Hypothesis strategies for values of the wire: any struct from its type, and logs a session could have."""

from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from holdfast_protocol import content, events
from holdfast_protocol.events import EventBase

texts = st.text(max_size=12) | st.sampled_from(
    ["", "a", "é", "漢字", "🙂", "👩‍👩‍👧", "\x00\x1f", '"\\', "\u2028"]
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def of(kind: Any) -> st.SearchStrategy[Any]:
    """Give values of a type of the wire, with every optional member there or not; events are numbered."""
    return _of(inspect.type_info(kind))


def _of(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.UnionType():
            return st.one_of([_of(item) for item in info.types])
        case inspect.VarTupleType() | inspect.ListType():
            return st.lists(_of(info.item_type), min_size=info.min_length or 0, max_size=3).map(tuple)
        case inspect.DictType():
            return st.dictionaries(_of(info.key_type), _of(info.value_type), max_size=3)
        case inspect.StructType():
            return _struct(info)
        case _:
            return _scalar(info)


def _scalar(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.AnyType():
            return json_values
        case inspect.RawType():
            return json_values.map(lambda value: msgspec.Raw(msgspec.json.encode(value)))
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType():
            return st.integers(
                -(2**53) if info.ge is None else info.ge, 2**53 if info.le is None else info.le
            )
        case inspect.FloatType():
            return st.floats(info.gt, allow_nan=False, allow_infinity=False, exclude_min=info.gt is not None)
        case inspect.StrType():
            return _text(info)
        case inspect.LiteralType():
            return st.sampled_from(sorted(info.values, key=str))
        case _:
            raise NotImplementedError(info)


def _text(info: inspect.StrType) -> st.SearchStrategy[str]:
    if info.pattern:
        return st.from_regex(info.pattern, fullmatch=True).filter(
            lambda text: len(text) <= (info.max_length or 128)
        )
    return texts.filter(lambda text: len(text) >= (info.min_length or 0))


def _struct(info: inspect.StructType) -> st.SearchStrategy[Any]:
    required = {field.name: _of(field.type) for field in info.fields if field.required}
    optional = {field.name: _of(field.type) for field in info.fields if not field.required}
    if issubclass(info.cls, EventBase):  # As the journal leaves them.
        required |= {"seq": st.integers(1, 2**53), "at": st.integers(1, 2**53)}
        optional = {name: values for name, values in optional.items() if name not in required}
    return st.fixed_dictionaries(required, optional=optional).map(lambda members: info.cls(**members))


class Log:
    """Writes a log that a session could have: what is open is known, so that every event makes sense.

    Attributes:
        events: numbered from 1.
        text: gives the text of the next delta, prompt or title.
    """

    def __init__(self, text: Any = lambda: "text") -> None:
        self.text = text
        self.events: list[events.Event | events.UnknownEvent] = []
        self.queue: list[str] = []
        self.run_id: str | None = None
        self.blocks: dict[str, int] = {}
        self.calls: dict[str, int] = {}
        self.requests: list[str] = []
        self.children: list[str] = []
        self.add(
            events.SessionStarted(
                cwd="/srv",
                agent="chat",
                model="m",
                sandbox=events.SandboxInfo(kind="none"),
                roots=("/srv/lib",),
            )
        )

    def add(self, event: Any) -> None:
        seq = len(self.events) + 1
        self.events.append(msgspec.structs.replace(event, seq=seq, at=1_700_000_000_000 + seq))

    def fresh(self, prefix: str) -> str:
        return f"{prefix}-{len(self.events)}"

    # One method per thing that can happen; `choice` picks among what is open. ------------------------

    def settings(self, choice: int) -> None:
        self.add(
            (
                events.SessionUpdated(title=self.text()),
                events.SessionUpdated(archived=True, meta={"text": self.text()}),
                events.SessionUpdated(thinking="high", roots=("/a", "/b")),
                events.ModelSwitched(model=self.text(), previous="m"),
            )[choice % 4]
        )

    def prompt(self, _choice: int) -> None:
        prompt_id = self.fresh("p")
        waits = self.run_id is not None
        self.add(
            events.PromptReceived(
                prompt_id=prompt_id,
                content=(
                    content.TextBlock(text=self.text()),
                    content.ImageBlock(mime_type="image/png", data="AAAA"),
                ),
                delivery="queue",
                status="queued" if waits else "started",
                by="client",
            )
        )
        if waits:
            self.queue.append(prompt_id)
        else:
            self.start_run(prompt_id)

    def start_run(self, prompt_id: str) -> None:
        self.run_id = self.fresh("r")
        self.add(events.RunStarted(run_id=self.run_id, prompt_id=prompt_id, agent="chat", model="m"))

    def change_prompt(self, choice: int) -> None:
        if not self.queue:
            return
        prompt_id = self.queue[choice % len(self.queue)]
        match choice % 3:
            case 0:
                self.add(
                    events.PromptUpdated(
                        prompt_id=prompt_id, content=(content.TextBlock(text=self.text()),), by="client"
                    )
                )
            case 1:
                self.add(events.PromptUpdated(prompt_id=prompt_id, position=choice % len(self.queue) + 1))
            case _:
                self.queue.remove(prompt_id)
                self.add(events.PromptRemoved(prompt_id=prompt_id, reason="client"))

    def next_prompt(self, _choice: int) -> None:
        if self.queue and self.run_id is None:
            prompt_id = self.queue.pop(0)
            self.add(events.PromptUpdated(prompt_id=prompt_id, status="started"))
            self.start_run(prompt_id)

    def block(self, choice: int) -> None:
        if self.run_id is None:
            return
        block_id = self.fresh("b")
        self.blocks[block_id] = 0
        kinds: tuple[events.BlockKind, ...] = ("text", "thinking", "tool_input")
        self.add(
            events.ContentBlockStart(
                run_id=self.run_id,
                block_id=block_id,
                message_id="m-1",
                step=choice % 5,
                kind=kinds[choice % 3],
            )
        )

    def delta(self, choice: int) -> None:
        if not self.blocks:
            return
        block_id = sorted(self.blocks)[choice % len(self.blocks)]
        text = self.text()
        self.add(
            events.TokenDelta(run_id=self.run_id, block_id=block_id, offset=self.blocks[block_id], text=text)
        )
        self.blocks[block_id] += len(text)

    def end_block(self, choice: int) -> None:
        if not self.blocks:
            return
        block_id = sorted(self.blocks)[choice % len(self.blocks)]
        del self.blocks[block_id]
        self.add(
            events.ContentBlockEnd(
                run_id=self.run_id, block_id=block_id, message_id="m-1", step=1, kind="text", text="whole"
            )
        )

    def call(self, choice: int) -> None:
        if self.run_id is None:
            return
        call_id = self.fresh("c")
        self.calls[call_id] = 0
        self.add(
            events.ToolCallStarted(
                run_id=self.run_id,
                tool_call_id=call_id,
                step=choice % 5,
                tool="shell",
                kind="execute",
                input={"command": self.text()},
                title=self.text(),
            )
        )

    def output(self, choice: int) -> None:
        if not self.calls:
            return
        call_id = sorted(self.calls)[choice % len(self.calls)]
        text = self.text()
        self.add(
            events.ToolOutput(run_id=self.run_id, tool_call_id=call_id, offset=self.calls[call_id], text=text)
        )
        self.calls[call_id] += len(text)

    def end_call(self, choice: int) -> None:
        if not self.calls:
            return
        call_id = sorted(self.calls)[choice % len(self.calls)]
        del self.calls[call_id]
        if choice % 2:
            self.add(
                events.ToolCallCompleted(run_id=self.run_id, tool_call_id=call_id, result=(), duration_ms=1)
            )
        else:
            error = events.ErrorInfo(kind="tool_failed", message="No.")
            self.add(events.ToolCallFailed(run_id=self.run_id, tool_call_id=call_id, error=error))

    def ask(self, _choice: int) -> None:
        request_id = self.fresh("q")
        self.requests.append(request_id)
        self.add(
            events.RequestOpened(
                run_id=self.run_id,
                request_id=request_id,
                kind="permission",
                title=self.text(),
                detail={"text": self.text()},
                options=(events.RequestOption(id="yes", label="Yes", kind="allow_once"),),
            )
        )

    def answer(self, choice: int) -> None:
        if self.requests:
            request_id = self.requests.pop(choice % len(self.requests))
            self.add(events.RequestResolved(request_id=request_id, outcome="yes", by="client"))

    def plan(self, choice: int) -> None:
        entry = events.PlanEntry(content=self.text(), priority="high", status="pending")
        self.add(events.PlanUpdated(run_id=self.run_id, entries=(entry,) * (choice % 4)))

    def child(self, _choice: int) -> None:
        session_id = self.fresh("s")
        self.children.append(session_id)
        self.add(events.AgentStarted(agent="helper", session_id=session_id, epoch="e"))

    def end_child(self, choice: int) -> None:
        if self.children:
            session_id = self.children.pop(choice % len(self.children))
            self.add(events.AgentCompleted(agent="helper", session_id=session_id, result=self.text()))

    def usage(self, choice: int) -> None:
        usage = events.Usage(input=choice, output=choice + 1, estimated=choice % 7 == 0)
        self.add(events.UsageUpdated(run_id=self.run_id, model="m", step=1, usage=usage))

    def pause(self, choice: int) -> None:
        if self.run_id is not None:
            event = (
                events.RunResumed(run_id=self.run_id)
                if choice % 2
                else events.RunPaused(run_id=self.run_id, reason="x")
            )
            self.add(event)

    def end_run(self, choice: int) -> None:
        if self.run_id is None:
            return
        while self.blocks:
            self.end_block(0)
        while self.calls:
            self.end_call(0)
        run_id, self.run_id = self.run_id, None
        error = events.ErrorInfo(kind="timeout", message="No.")
        self.add(
            (
                events.RunCompleted(
                    run_id=run_id, stop_reason="end_turn", usage=events.Usage(), duration_ms=1, steps=1
                ),
                events.RunFailed(run_id=run_id, error=error),
                events.RunCancelled(run_id=run_id, by="client"),
                events.RunInterrupted(run_id=run_id, cause="restart"),
            )[choice % 4]
        )

    def other(self, choice: int) -> None:
        self.add(
            (
                events.Notice(kind="x", message=self.text()),
                events.Custom(topic="x", data=self.text()),
                events.UnknownEvent(type="from_the_future", seq=0, at=0),
            )[choice % 3]
        )

    ACTIONS = (
        settings, prompt, prompt, change_prompt, next_prompt, block, delta, delta, end_block, call, output,
        end_call, ask, answer, plan, child, end_child, usage, pause, end_run, other,
    )  # fmt: skip


@st.composite
def logs(draw: st.DrawFn, text: st.SearchStrategy[str] = texts) -> list[Any]:
    """Give the events of a log, oldest first: at least the first event, with a prompt more often than not."""
    log = Log(lambda: draw(text))
    if draw(st.booleans()):
        log.prompt(0)
    steps = st.tuples(st.integers(0, len(Log.ACTIONS) - 1), st.integers(0, 100))
    for action, choice in draw(st.lists(steps, min_size=draw(st.sampled_from([0, 10, 25])), max_size=40)):
        Log.ACTIONS[action](log, choice)
    return log.events
