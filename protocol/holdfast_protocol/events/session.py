"""Events about the session itself."""

from holdfast_protocol.events.base import Budget, EventBase, Json, Mode, Thinking, Unattended, WireStruct


class SandboxInfo(WireStruct, frozen=True, kw_only=True):
    """What confines the session's tools. `none` means commands run with the daemon's own rights."""

    kind: str
    detail: str | None = None


class Instructions(WireStruct, frozen=True, kw_only=True):
    """A file that tells agents about the project, as AGENTS.md; `problem`: why it was not read."""

    path: str
    text: str = ""
    problem: str | None = None


class Origin(WireStruct, frozen=True, kw_only=True):
    """Where a forked session comes from: the other's events up to and with `seq`."""

    session_id: str
    epoch: str
    seq: int


class SessionStarted(EventBase, frozen=True, kw_only=True, tag="session_started"):
    """The first event of every log. Paths are absolute; `parent` is the session a sub-agent works for."""

    cwd: str
    agent: str
    model: str
    sandbox: SandboxInfo
    thinking: Thinking = "off"
    mode: Mode = "ask"
    unattended: Unattended = "wait"
    budget: Budget | None = None
    roots: tuple[str, ...] = ()
    title: str | None = None
    instructions: tuple[Instructions, ...] = ()
    parent: str | None = None
    meta: Json = None


class SessionUpdated(EventBase, frozen=True, kw_only=True, tag="session_updated"):
    """Settings changed; an absent member did not change; an empty `budget` bounds nothing.

    With a `runId`, only `mode` is given, and it is that of the run, which had one of its own.
    """

    title: str | None = None
    archived: bool | None = None
    agent: str | None = None
    thinking: Thinking | None = None
    mode: Mode | None = None
    unattended: Unattended | None = None
    budget: Budget | None = None
    roots: tuple[str, ...] | None = None
    meta: Json = None
    forked_from: Origin | None = None
    sandbox: SandboxInfo | None = None
    instructions: tuple[Instructions, ...] | None = None
    by: str | None = None


class ModelSwitched(EventBase, frozen=True, kw_only=True, tag="model_switched"):
    """Later runs use another model."""

    model: str
    previous: str
    by: str | None = None


class SessionEnded(EventBase, frozen=True, kw_only=True, tag="session_ended"):
    """The last event a subscriber sees of a deleted session."""

    reason: str
