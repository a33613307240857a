"""Tools of a session that run in the editor: its files, so that unsaved buffers win, and its terminal.

`read`, `write` and `edit` take the place of the daemon's while the editor is there, with the same input;
what they may touch is the same too, and is checked here. `terminal` is one more tool beside the daemon's
`shell`: a command in the editor's terminal is not confined and ends with the editor.
"""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import anyio

from holdfast_client.aio.hosting import current_call
from holdfast_client.bridges.acp.content import output_shown
from holdfast_client.bridges.acp.peer import CallRefused, Peer
from holdfast_client.bridges.acp.window import Window
from holdfast_client.core.hosted import Tool
from holdfast_protocol.foreign.acp import client_calls as acp
from holdfast_protocol.foreign.acp.base import Nothing
from holdfast_protocol.foreign.acp.content import TerminalShown
from holdfast_protocol.foreign.acp.handshake import ClientCapabilities
from holdfast_protocol.foreign.acp.updates import ToolCallChanged, ToolCallUpdate

LINES_MAX: Final = 2000
TEXT_CHARS_MAX: Final = 48 * 1024
"""What `read` gives at once, as the daemon's own."""

OUTPUT_BYTES_MAX: Final = 64 * 1024

_GRACE_S: Final = 2.0
"""How long an editor gets to end a command that is not wanted any more."""

_PROTECTED: Final = (
    *(".git", ".holdfast", ".vscode", ".idea", ".zed", ".devcontainer", ".claude", ".codex", ".cursor"),
    *(".gemini", ".mcp.json", ".envrc"),
)
"""In each of a session's directories: what the daemon's own tools do not change either, and all of `.git`."""

_PROTECTED_AT_HOME: Final = (
    *(".bashrc", ".bash_profile", ".bash_login", ".profile", ".zshrc", ".zshenv", ".zprofile", ".gitconfig"),
    *(".config", ".local", ".ssh"),
)

_PATH: Final = {"type": "string", "description": "absolute, or from the session's directory"}


class EditorFailed(Exception):
    """The editor could not do it; the message says why, for the model."""

    def __str__(self) -> str:
        return str(self.args[0])


def tools(peer: Peer, window: Window, capabilities: ClientCapabilities) -> Mapping[str, Tool]:
    """Give the tools this editor can run for a session."""
    files = _Files(peer, window)
    found: dict[str, Tool] = {}
    if capabilities.fs.read_text_file:
        found["read"] = _tool(files.read, _READ, _READ_SCHEMA, "read")
    if capabilities.fs.write_text_file:
        found["write"] = _tool(files.write, _WRITE, _WRITE_SCHEMA, "edit")
    if "read" in found and "write" in found:
        found["edit"] = _tool(files.edit, _EDIT, _EDIT_SCHEMA, "edit")
    if capabilities.terminal:
        found["terminal"] = _tool(_Terminal(peer, window).run, _TERMINAL, _TERMINAL_SCHEMA, "execute")
    return found


def _tool(function: Any, description: str, schema: dict[str, Any], kind: Any) -> Tool:
    return Tool(function=function, description=description, input_schema=schema, kind=kind)


def _schema(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_READ: Final = (
    "Read a text file inside the session's directories, as it stands in the editor, unsaved changes too. "
    f"Gives at most {LINES_MAX} lines and {TEXT_CHARS_MAX // 1024} KiB; a note says how to go on."
)
_READ_SCHEMA: Final = _schema(
    ("path",),
    path=_PATH,
    offset={"type": "integer", "minimum": 1, "description": "the first line, from 1"},
    limit={"type": "integer", "minimum": 1, "maximum": LINES_MAX, "description": "how many lines"},
)
_WRITE: Final = (
    "Create a text file inside the session's directories, or replace the whole of one, in the editor."
)
_WRITE_SCHEMA: Final = _schema(
    ("path", "content"), path=_PATH, content={"type": "string", "description": "the whole content"}
)
_EDIT: Final = (
    "Replace an exact piece of a text file inside the session's directories, in the editor. Read the file "
    "first. `old` must stand in the file exactly once, unless `replace_all` is set."
)
_EDIT_SCHEMA: Final = _schema(
    ("path", "old", "new"),
    path=_PATH,
    old={"type": "string", "minLength": 1, "description": "the piece as it stands"},
    new={"type": "string", "description": "what is to stand there; empty to remove it"},
    replace_all={"type": "boolean", "description": "replace it everywhere"},
)
_TERMINAL: Final = (
    "Run a shell command in a terminal of the person's editor, where they watch it. It is not confined, and "
    "ends when the editor does: prefer `shell` unless a person is to see the command at work."
)
_TERMINAL_SCHEMA: Final = _schema(("command",), command={"type": "string"}, cwd=_PATH)


class _Files:
    """Files as they stand in the editor."""

    def __init__(self, peer: Peer, window: Window) -> None:
        self._peer = peer
        self._window = window

    async def read(self, path: str, offset: int = 1, limit: int = LINES_MAX) -> str:
        """Give lines, and a note where more follow."""
        limit = min(max(limit, 1), LINES_MAX)
        text = await self._text(self._place(path), line=max(offset, 1), limit=limit + 1)
        lines = text.splitlines(keepends=True)
        kept, size = 0, 0
        while kept < min(len(lines), limit) and size + len(lines[kept]) <= TEXT_CHARS_MAX:
            size += len(lines[kept])
            kept += 1
        if kept == len(lines):
            return text
        if not kept:
            return f"{lines[0][:TEXT_CHARS_MAX]}\n[line {offset} is longer; only its beginning is shown]"
        note = f"[lines {offset} to {offset + kept - 1}; go on with offset {offset + kept}]"
        return f"{''.join(lines[:kept])}\n{note}"

    async def write(self, path: str, content: str) -> str:
        """Replace a whole file."""
        await self._write(self._changeable(path), content)
        return f"wrote {path}"

    async def edit(self, path: str, old: str, new: str, replace_all: bool = False) -> str:
        """Replace a piece of a file."""
        place = self._changeable(path)
        text = await self._text(place, line=None, limit=None)
        found = text.count(old) if old else 0
        if not found:
            raise EditorFailed(f"{path} has no such piece")
        if found > 1 and not replace_all:
            raise EditorFailed(
                f"the piece stands in {path} {found} times: give more of it, or set replace_all"
            )
        await self._write(place, text.replace(old, new))
        return f"edited {path}: {found} replaced"

    async def _text(self, place: str, *, line: int | None, limit: int | None) -> str:
        params = acp.ReadTextFile(session_id=self._window.session.id, path=place, line=line, limit=limit)
        try:
            return (await self._peer.call("fs/read_text_file", params, acp.FileText)).content
        except CallRefused as refused:
            raise EditorFailed(f"the editor cannot read it: {refused.error.message}") from None

    async def _write(self, place: str, content: str) -> None:
        params = acp.WriteTextFile(session_id=self._window.session.id, path=place, content=content)
        try:
            await self._peer.call("fs/write_text_file", params, Nothing)
        except CallRefused as refused:
            raise EditorFailed(f"the editor cannot write it: {refused.error.message}") from None

    def _place(self, path: str) -> str:
        """Give the absolute path; links are resolved, so that none leads out of the session's directories."""
        place = os.path.realpath(Path(self._window.cwd) / path)
        roots = (self._window.cwd, *self._window.roots)
        if not any(Path(place).is_relative_to(os.path.realpath(root)) for root in roots):
            raise EditorFailed(f"{path} lies outside the session's directories")
        return place

    def _changeable(self, path: str) -> str:
        """Give the place of a file that may be changed: none from which others take commands."""
        place = Path(self._place(path))
        for root in (self._window.cwd, *self._window.roots):
            base = Path(os.path.realpath(root))
            protected = (*_PROTECTED, *(_PROTECTED_AT_HOME if base == Path.home() else ()))
            if any(place.is_relative_to(base / name) for name in protected):
                raise EditorFailed(f"{path} is protected: others take commands from it")
        return str(place)


class _Terminal:
    """Commands in the editor's terminals."""

    def __init__(self, peer: Peer, window: Window) -> None:
        self._peer = peer
        self._window = window

    async def run(self, command: str, cwd: str = "") -> str:
        """Run a command to its end; give what it put out, and how it ended."""
        await self._check_allowed(command)
        create = acp.CreateTerminal(
            session_id=self._window.session.id,
            command="/bin/sh",
            args=("-c", command),
            cwd=str(Path(self._window.cwd) / cwd),
            output_byte_limit=OUTPUT_BYTES_MAX,
        )
        try:
            made = await self._peer.call("terminal/create", create, acp.TerminalCreated)
            return await self._follow(made.terminal_id)
        except CallRefused as refused:
            raise EditorFailed(f"the editor's terminal failed: {refused.error.message}") from None

    async def _check_allowed(self, command: str) -> None:
        """Ask, if nobody was: nothing confines the command, so that no mode is enough to let it run."""
        call = current_call.get()
        if call is None or await self._window.was_asked(call.tool_call_id):
            return
        subject = ToolCallChanged(
            tool_call_id=call.tool_call_id,
            kind="execute",
            content=(output_shown(command),),
            raw_input=call.input,
        )
        options = (
            acp.PermissionOption(option_id="allow", name="Allow once", kind="allow_once"),
            acp.PermissionOption(option_id="deny", name="Deny", kind="reject_once"),
        )
        params = acp.RequestPermission(session_id=call.session_id, tool_call=subject, options=options)
        try:
            answer = await self._peer.call("session/request_permission", params, acp.PermissionAnswer)
        except CallRefused as refused:
            raise EditorFailed(f"the editor could not ask: {refused.error.message}") from None
        if (answer.outcome.outcome, answer.outcome.option_id) != ("selected", "allow"):
            raise EditorFailed("the command was not allowed")

    async def _follow(self, terminal_id: str) -> str:
        terminal = acp.OfTerminal(session_id=self._window.session.id, terminal_id=terminal_id)
        self._show(terminal_id)
        try:
            status = await self._peer.call("terminal/wait_for_exit", terminal, acp.ExitStatus)
            put_out = await self._peer.call("terminal/output", terminal, acp.TerminalOutput)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(_GRACE_S, shield=True):
                await self._end("terminal/kill", terminal)
            raise
        finally:
            with anyio.move_on_after(_GRACE_S, shield=True):
                await self._end("terminal/release", terminal)
        how = f"signal {status.signal}" if status.signal else f"exit code {status.exit_code}"
        cut = "[the beginning is cut]\n" if put_out.truncated else ""
        return f"{cut}{put_out.output.rstrip()}\n[{how}]"

    def _show(self, terminal_id: str) -> None:
        call = current_call.get()
        if call is not None:
            call_id = call.tool_call_id
            self._window.transcript.terminals[call_id] = terminal_id
            content = (TerminalShown(terminal_id=terminal_id),)
            self._window.tell(ToolCallUpdate(tool_call_id=call_id, content=content))

    async def _end(self, method: str, terminal: acp.OfTerminal) -> None:
        with contextlib.suppress(CallRefused):  # It has ended by itself.
            await self._peer.call(method, terminal, Nothing)
