"""What a transcript is made of: one type per kind of thing a person sees. Data alone, made safe to show."""

from dataclasses import dataclass, field
from typing import Literal

from holdfast_protocol.events import PlanEntry, ToolKind

Tone = Literal["dim", "plain", "bold", "warning", "error"]


@dataclass(slots=True)
class Asked:
    """A prompt. `steered`: it entered a run that was going on."""

    text: str
    steered: bool = False


@dataclass(slots=True)
class Said:
    """Whole Markdown blocks of the model's text. `cut`: the model had more to say."""

    markdown: str
    cut: bool = False


@dataclass(slots=True)
class Thought:
    """A block of thinking. `duration_ms` is None while it goes on."""

    text: str
    started_at: int
    duration_ms: int | None = None


@dataclass(slots=True)
class Change:
    """A change to one file.

    Attributes:
        path: as the tool was given it.
        lines: of a unified diff, from the first hunk on. Those that begin with a backslash are remarks: what
            a person would not see, or that the diff is not the whole change. No content begins so.
        added, removed: how many lines. `removed` is None where the file could not be read.
        guessed: the file could not be compared: the pieces alone are shown.
        more: how many lines more there are than in `lines`.
    """

    path: str
    lines: list[str]
    added: int
    removed: int | None
    guessed: bool = False
    more: int = 0


@dataclass(slots=True)
class Proposed:
    """What a call would do, shown before anybody allows it.

    Attributes:
        change: to a file, if it is one.
        text: else the whole command or input, with a name for each character that cannot be seen.
        hides: the text has such characters.
        whole: all of it is drawn, however long it is.
        continues: it is a further part of the one before.
    """

    title: str
    change: Change | None = None
    text: str = ""
    hides: bool = False
    whole: bool = False
    continues: bool = False


@dataclass(slots=True)
class Called:
    """A tool call.

    Attributes:
        output: so far, or the result.
        failure: why there is no result.
        changes: what it did to files, unless that was proposed before.
    """

    title: str
    tool: str
    kind: ToolKind
    started_at: int
    output: str = ""
    ended: bool = False
    failure: str | None = None
    duration_ms: int | None = None
    changes: list[Change] = field(default_factory=list[Change])
    added: int = 0
    removed: int = 0


@dataclass(slots=True)
class Planned:
    """The plan, with its entries as they stand."""

    entries: tuple[PlanEntry, ...]


@dataclass(slots=True)
class Noted:
    """A line about the session."""

    text: str
    tone: Tone = "dim"


@dataclass(slots=True)
class Told:
    """What a slash command found out."""

    command: str
    lines: list[str]


@dataclass(slots=True)
class Closed:
    """The last line of a run: how it ended, time, tokens, cost."""

    text: str
    good: bool


Item = Asked | Said | Thought | Proposed | Called | Planned | Noted | Told | Closed
