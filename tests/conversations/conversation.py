"""What a conversation file says: steps as typed values. Knows nothing of clients or daemons.

A file is YAML: a comment that says where its promise comes from, a `title`, and `steps`. A step is a map
whose first key is its verb; the struct of that name below documents it. A misspelt key is an error.
Where a step names no client, it is the one that connected first.
"""

from pathlib import Path
from typing import Any, Final

import msgspec
import yaml
from msgspec import UNSET

HERE: Final = Path(__file__).parent
NOT_YET: Final = HERE / "not_yet.yaml"


class _Step(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename={"as_": "as"}):
    """A step. `line` is where it stands in its file."""

    line: int = 0


class Connect(_Step, kw_only=True):
    """A client of this name connects and, unless told not to, initializes.

    Attributes:
        as_: the client's id; its name if none is given. Idempotency keys belong to an id.
        slow: it has a small receive buffer, so that it is behind as soon as it does not read.
    """

    connect: str
    initialize: bool = True
    as_: str | None = None
    slow: bool = False


class Call(_Step, kw_only=True):
    """A call and its answer: a result that fits `expect`, or an error that fits `error`.

    An error's pattern is flat: `code` and `message` are the error's own, all else is of its `data`.
    """

    call: str
    params: Any = UNSET
    by: str | None = None
    expect: Any = UNSET
    error: Any = UNSET


class Send(_Step, kw_only=True):
    """A call whose answer is awaited later, under the tag `as_`.

    Attributes:
        times: send so many, tagged `as_` and a number from 1; `$n` is the number.
    """

    send: str
    as_: str
    params: Any = UNSET
    by: str | None = None
    times: int | None = None


class Notify(_Step, kw_only=True):
    """A notification of the client. `$id_TAG` is the id of a call sent before."""

    notify: str
    params: Any = UNSET
    by: str | None = None


class Raw(_Step, kw_only=True):
    """Bytes that need not be a message.

    Attributes:
        raw: a text, or a list of texts, `{hex: …}` and `{repeat: TEXT, times: N}`.
        framed: whether they are sent as one frame, or as they are.
        pad_to: `$PAD` in it is replaced by as many `x` as make it so many bytes.
    """

    raw: Any
    framed: bool = True
    pad_to: int | None = None
    by: str | None = None


class Pipeline(_Step, kw_only=True):
    """Messages that leave the client in one write."""

    pipeline: list[Any]
    by: str | None = None


class Answer(_Step, kw_only=True):
    """The answer to a call sent before; patterns as in `Call`."""

    answer: str
    expect: Any = UNSET
    error: Any = UNSET


class InOrder(_Step, kw_only=True):
    """The answers to these calls came in this order; waits for them, they can still be looked at."""

    in_order: list[str]


class Answered(_Step, kw_only=True):
    """Raw requests with these ids were answered with a result each, in this order."""

    answered: list[Any]
    by: str | None = None


class Refused(_Step, kw_only=True):
    """An error with a null id: the daemon could not tell what it answers."""

    refused: Any
    by: str | None = None


class Unanswered(_Step, kw_only=True):
    """The call of this tag has no answer yet, nor has one come before that of a ping sent now."""

    unanswered: str


class Create(_Step, kw_only=True):
    """`session/create` in `$cwd`; further params. Remembers `$session` and `$epoch`."""

    create: dict[str, Any]
    by: str | None = None
    expect: Any = UNSET
    error: Any = UNSET


class Prompt(_Step, kw_only=True):
    """`session/prompt` to `$session` with a text; further params."""

    prompt: str
    params: dict[str, Any] = {}
    by: str | None = None
    expect: Any = UNSET
    error: Any = UNSET


class Events(_Step, kw_only=True):
    """The next events of a session a client is subscribed to, in order, none left out.

    Items: a type; `{type: pattern}`; `gap`, any number of events up to the next item;
    `{any_order: [items]}`; `{token_deltas: {text: …}}` and `{tool_outputs: {text: …}}`, one or more
    consecutive deltas of one block or call that together are that text.

    Attributes:
        session: a reference; `$session` if none is given.
    """

    events: list[Any]
    session: str = "$session"
    by: str | None = None


class Notification(_Step, kw_only=True):
    """The next notification of this method.

    Attributes:
        skip: those that do not fit are passed over.
    """

    notification: str
    expect: Any = UNSET
    skip: bool = False
    by: str | None = None


class Cursor(_Step, kw_only=True):
    """Remember under this name what a client's subscription has covered."""

    cursor: str
    session: str = "$session"
    by: str | None = None


class NothingMore(_Step, kw_only=True):
    """A client gets no event and no notification that no step has looked at, up to a ping sent now.

    `sessions/changed` is not counted: it comes for every run.
    """

    nothing_more: str


class Closed(_Step, kw_only=True):
    """The daemon closes this client's connection, and sends no more before."""

    closed: str


class Close(_Step, kw_only=True):
    """A client closes its connection."""

    close: str


class DaemonStep(_Step, kw_only=True):
    """What happens to the daemon: `start`, `stop` (in order), `kill` (-9), `exits` (by itself, status 0)."""

    daemon: str


class Disk(_Step, kw_only=True):
    """The log's file cannot grow any more (`full`), or can again (`free`)."""

    disk: str


class Let(_Step, kw_only=True):
    """Remember values under names, for texts that are long or occur often."""

    let: dict[str, Any]


class Write(_Step, kw_only=True):
    """A file below `$cwd`."""

    write: str
    text: str


Step = (
    Connect
    | Call
    | Send
    | Notify
    | Raw
    | Pipeline
    | Answer
    | InOrder
    | Answered
    | Refused
    | Unanswered
    | Create
    | Prompt
    | Events
    | Notification
    | Cursor
    | NothingMore
    | Closed
    | Close
    | DaemonStep
    | Disk
    | Let
    | Write
)

_VERBS: Final[dict[str, type[_Step]]] = {kind.__struct_encode_fields__[1]: kind for kind in Step.__args__}
"""A step's verb is its struct's first field of its own; `line` is the field before it."""

_IN_A_PIPELINE: Final = (Send, Notify, Raw)


class Conversation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One file.

    Attributes:
        title: the promise, as a sentence.
        files: files below `$cwd`, by path.
        logs_errors: the daemon may write errors into its own log: it is being hurt.
        process: the daemon is a process of its own, also where no step needs that.
        transports: what it is run over; on all if none are named.
        steps: what happens, as typed values.
    """

    title: str
    files: dict[str, str] = {}
    logs_errors: bool = False
    process: bool = False
    transports: list[str] = []
    steps: list[Any]

    @property
    def needs_process(self) -> bool:
        """Whether it wants one, or does to the daemon what must not be done to the test."""
        return self.process or any(
            isinstance(step, Disk) or (isinstance(step, DaemonStep) and step.daemon == "kill")
            for step in self.steps
        )


class BadConversation(Exception):
    """A file is not what this module describes; the message names the line."""


def conversation_files() -> list[Path]:
    """Give all files, in the order of their names."""
    return sorted(path for path in HERE.glob("*.yaml") if path != NOT_YET)


def load(path: Path) -> Conversation:
    """Read a file.

    Raises:
        BadConversation: naming file and line.
    """
    text = path.read_text(encoding="utf-8")
    if not text.startswith("# Source: "):
        raise BadConversation(
            f"{path.name}:1: the first line says where the promise comes from: `# Source: …`"
        )
    conversation = msgspec.convert(yaml.safe_load(text), Conversation)
    steps = [
        _step(step, f"{path.name}:{line}", line)
        for step, line in zip(conversation.steps, _lines_of_steps(text), strict=True)
    ]
    return msgspec.structs.replace(conversation, steps=steps)


def _lines_of_steps(text: str) -> list[int]:
    document = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(document, yaml.MappingNode)
    (steps,) = (value for key, value in document.value if key.value == "steps")
    return [item.start_mark.line + 1 for item in steps.value]


def _step(step: Any, place: str, line: int) -> Any:
    verb = next(iter(step), None) if isinstance(step, dict) else None
    kind = _VERBS.get(str(verb))
    if kind is None:
        raise BadConversation(f"{place}: a step begins with one of: {', '.join(sorted(_VERBS))}")
    try:
        typed = msgspec.convert(step | {"line": line}, kind)
    except msgspec.ValidationError as error:
        raise BadConversation(f"{place}: {error}") from error
    if isinstance(typed, Pipeline):
        typed.pipeline = [_step(part, place, line) for part in typed.pipeline]
        if not all(isinstance(part, _IN_A_PIPELINE) for part in typed.pipeline):
            raise BadConversation(f"{place}: a pipeline holds send, notify and raw")
    return typed
