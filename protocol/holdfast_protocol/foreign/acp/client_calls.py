"""What an editor is asked: permissions, files, terminals, questions; and what it answers."""

from typing import Annotated, Any, Literal

import msgspec

from holdfast_protocol.foreign.acp.base import OPTIONAL, Foreign, Members
from holdfast_protocol.foreign.acp.updates import ToolCallChanged

# Permissions ------------------------------------------------------------------------------------------------

OptionKind = Literal["allow_once", "allow_always", "reject_once", "reject_always"]


class PermissionOption(Foreign, frozen=True, kw_only=True):
    """An answer that is offered."""

    option_id: str
    name: str
    kind: OptionKind


class RequestPermission(Foreign, frozen=True, kw_only=True):
    """`session/request_permission`."""

    session_id: str
    tool_call: ToolCallChanged
    options: tuple[PermissionOption, ...]


class Outcome(Foreign, frozen=True, kw_only=True):
    """`selected` with an option, or `cancelled`; anything else is no answer."""

    outcome: str
    option_id: str | None = None


class PermissionAnswer(Foreign, frozen=True, kw_only=True):
    """What a person chose."""

    outcome: Outcome


# Files ------------------------------------------------------------------------------------------------------


class ReadTextFile(Foreign, frozen=True, kw_only=True):
    """`fs/read_text_file`; `line` counts from 1."""

    session_id: str
    path: str
    line: int | None = None
    limit: int | None = None


class FileText(Foreign, frozen=True, kw_only=True):
    """The text."""

    content: str


class WriteTextFile(Foreign, frozen=True, kw_only=True):
    """`fs/write_text_file`."""

    session_id: str
    path: str
    content: str


# Terminals --------------------------------------------------------------------------------------------------


class CreateTerminal(Foreign, frozen=True, kw_only=True):
    """`terminal/create`."""

    session_id: str
    command: str
    args: tuple[str, ...] = ()
    cwd: str | None = None
    output_byte_limit: int | None = None


class TerminalCreated(Foreign, frozen=True, kw_only=True):
    """Its id."""

    terminal_id: str


class OfTerminal(Foreign, frozen=True, kw_only=True):
    """`terminal/output`, `terminal/wait_for_exit`, `terminal/kill` and `terminal/release`."""

    session_id: str
    terminal_id: str


class ExitStatus(Foreign, frozen=True, kw_only=True):
    """How a command ended: a code, or the signal that ended it."""

    exit_code: Annotated[int | None, OPTIONAL] = None
    signal: Annotated[str | None, OPTIONAL] = None


class TerminalOutput(Foreign, frozen=True, kw_only=True):
    """What the command has printed so far."""

    output: str
    truncated: bool = False
    exit_status: Annotated[ExitStatus | None, OPTIONAL] = None


# Questions --------------------------------------------------------------------------------------------------


class FormElicitation(Foreign, frozen=True, kw_only=True, tag_field="mode", tag="form"):
    """`elicitation/create` with a form."""

    session_id: str
    message: str
    requested_schema: Members
    tool_call_id: str | None = None


class UrlElicitation(Foreign, frozen=True, kw_only=True, tag_field="mode", tag="url"):
    """`elicitation/create` with a page to open."""

    session_id: str
    message: str
    elicitation_id: str
    url: str
    tool_call_id: str | None = None


class ElicitationAnswer(Foreign, frozen=True, kw_only=True):
    """What a person did; `content` is the form filled in. Any other action is no answer."""

    action: str
    content: dict[str, Any] | None = msgspec.field(default=None)


class ElicitationComplete(Foreign, frozen=True, kw_only=True):
    """`elicitation/complete`: the page has done its work."""

    elicitation_id: str
