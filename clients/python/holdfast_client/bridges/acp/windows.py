"""The sessions that are open in one editor, and what an editor may ask for about sessions."""

import contextlib
import logging
import os
import re
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, cast

from anyio.abc import TaskGroup

from holdfast_client.aio.client import Client
from holdfast_client.aio.rpc import new_id
from holdfast_client.aio.session import Session
from holdfast_client.bridges.acp import choices, hosted
from holdfast_client.bridges.acp.content import blocks_of
from holdfast_client.bridges.acp.peer import Peer
from holdfast_client.bridges.acp.reach import Reach
from holdfast_client.bridges.acp.refusals import INTERNAL_ERROR, Refusal, bad_params, no_session
from holdfast_client.bridges.acp.servers import servers_of
from holdfast_client.bridges.acp.transcript import Shows
from holdfast_client.bridges.acp.window import Window
from holdfast_client.shell import endpoint, settings, surroundings
from holdfast_protocol.errors import Conflict, NotFound, RpcError
from holdfast_protocol.foreign.acp import handshake, sessions
from holdfast_protocol.foreign.acp.base import Nothing
from holdfast_protocol.methods.session import SessionInfo

_logger = logging.getLogger(__name__)

WINDOWS_MAX: Final = 64
"""Sessions that are open in one editor at once."""

LIST_ROWS: Final = 100

_PARENTS_MAX: Final = 16
"""How deep sub-agents' sessions are looked for below one that is open."""

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")

_DONE: Final = Nothing()


class Opened(NamedTuple):
    """A window, and the answer that has to be given before it says anything."""

    answer: sessions.SessionOpened
    window: Window


class Windows:
    """One editor's open sessions, by id. One owner.

    Args:
        peer: the editor.
        reach: the way to the daemon.
        capabilities: the editor's.
        tasks: where windows run.

    Every method but `get` may raise what a call to the daemon does, and `Refusal`.
    """

    def __init__(
        self, peer: Peer, reach: Reach, capabilities: handshake.ClientCapabilities, tasks: TaskGroup
    ) -> None:
        self._peer = peer
        self._reach = reach
        self._capabilities = capabilities
        self._tasks = tasks
        self._windows: dict[str, Window] = {}
        asked = capabilities.session or handshake.ClientSession()
        self._shows = Shows(notices=asked.notices is not None, compaction=asked.compaction is not None)

    def get(self, session_id: str) -> Window | None:
        """Give a session's window, if it is open."""
        return self._windows.get(session_id)

    async def showing(self, session_id: str) -> Window | None:
        """Give the window of a session, else that of the session it works for; None if neither is open."""
        client = await self._reach.client()
        for _ in range(_PARENTS_MAX):
            window = self._windows.get(session_id)
            if window is not None:
                return window
            parent = (await client.rpc.session_get(session_id=session_id)).session.parent
            if parent is None:
                return None
            session_id = parent
        return None

    # Opening -------------------------------------------------------------------------------------------

    async def authenticate(self, params: handshake.AuthenticateRequest) -> Any:
        """There is nothing to log in to: keys of models are the daemon's business."""
        raise bad_params(f"There is no way of logging in {params.method_id!r}; none is needed.")

    async def new(self, params: sessions.NewSession) -> Opened:
        """Make a session in the editor's directory."""
        self._check_room()
        roots = _directories(params.cwd, params.additional_directories)
        servers = servers_of(params.mcp_servers)
        client = await self._reach.client()
        preferred = settings.preferences(endpoint.locate().file, os.environ)
        session = await client.create_session(
            params.cwd,
            session_id=new_id(),
            roots=roots,
            model=preferred.get("model"),
            mode=choices.mode_of(preferred.get("mode", "ask")),
            env=surroundings.environment(os.environ),
            mcp_servers=servers,
        )
        window = await self._window(client, session)
        await window.resume()
        return await self._open(window, with_id=True)

    async def load(self, params: sessions.OldSession) -> Opened:
        """Open a session, and tell all of it before the answer."""
        window = await self._old(params)
        await window.replay()
        return await self._open(window, with_id=False)

    async def resume(self, params: sessions.OldSession) -> Opened:
        """Open a session whose conversation the editor has."""
        window = await self._old(params)
        await window.resume()
        return await self._open(window, with_id=False)

    async def fork(self, params: sessions.OldSession) -> Opened:
        """Open a new session with the events of another."""
        self._check_room()
        _directories(params.cwd, params.additional_directories)
        client = await self._reach.client()
        forked = await client.session(_checked(params.session_id)).fork()
        window = await self._window(client, forked)
        await window.resume()
        return await self._open(window, with_id=True)

    async def _old(self, params: sessions.OldSession) -> Window:
        _directories(params.cwd, params.additional_directories)
        servers_of(params.mcp_servers)  # A session keeps those it was made with.
        await self._leave(params.session_id)
        self._check_room()
        client = await self._reach.client()
        return await self._window(client, client.session(_checked(params.session_id)))

    async def _window(self, client: Client, session: Session) -> Window:
        models = (await client.rpc.model_list()).models
        return Window(client, session, self._peer, self._shows, models)

    async def _open(self, window: Window, *, with_id: bool) -> Opened:
        tools = hosted.tools(self._peer, window, self._capabilities)
        if tools:
            try:
                await window.session.host_tools(tools)
            except Conflict as conflict:  # Another editor does; its buffers are as good.
                _logger.info("session %s: %s", window.session.id, conflict)
        self._windows[window.session.id] = window
        self._tasks.start_soon(self._run, window)
        return Opened(window.answer(with_id=with_id), window)

    async def _run(self, window: Window) -> None:
        try:
            await window.run()
        finally:
            if self._windows.get(window.session.id) is window:
                del self._windows[window.session.id]

    def _check_room(self) -> None:
        if len(self._windows) >= WINDOWS_MAX:
            message = f"At most {WINDOWS_MAX} sessions are open at once: close one."
            raise Refusal(INTERNAL_ERROR, message, {"kind": "overloaded"})

    async def _leave(self, session_id: str) -> Client:
        """Close a window, if there is one; the session goes on."""
        client = await self._reach.client()
        window = self._windows.pop(session_id, None)
        if window is not None:
            window.close()
            await window.session.leave()
            if hosted.tools(self._peer, window, self._capabilities):
                with contextlib.suppress(RpcError):  # It is gone, and so are they.
                    await window.session.host_tools({})
        return client

    # Sessions ------------------------------------------------------------------------------------------

    async def list(self, params: sessions.ListSessions) -> sessions.SessionList:
        """Give a page of the sessions, most recently used first."""
        client = await self._reach.client()
        wanted = params.archived or "exclude"
        page = await client.rpc.session_list(
            cwd=params.cwd, cursor=params.cursor, limit=LIST_ROWS, archived=wanted != "exclude"
        )
        rows = tuple(_row(info) for info in page.sessions if wanted != "only" or info.archived)
        return sessions.SessionList(sessions=rows, next_cursor=page.next)

    async def close(self, params: sessions.OfSession) -> Nothing:
        """Cancel what runs in a session, and free it; it can be opened again."""
        client = await self._leave(params.session_id)
        await client.session(_checked(params.session_id)).close()
        return _DONE

    async def delete(self, params: sessions.OfSession) -> Nothing:
        """Delete a session for good; one that nobody knows is deleted already."""
        client = await self._leave(params.session_id)
        with contextlib.suppress(NotFound, Refusal):
            await client.session(_checked(params.session_id)).delete()
        return _DONE

    async def set_mode(self, params: sessions.SetMode) -> Nothing:
        """Change what tools may do without asking."""
        mode = choices.mode_of(params.mode_id)
        await self._window_of(params.session_id).session.update(mode=mode)
        return _DONE

    async def set_option(self, params: sessions.SetConfigOption) -> sessions.ConfigOptionsSet:
        """Change an option; give all of them."""
        window = self._window_of(params.session_id)
        change = choices.change_of(params.config_id, params.value)
        await window.session.update(**cast("dict[str, Any]", change))
        return sessions.ConfigOptionsSet(config_options=window.options_after(change))

    async def set_title(self, params: sessions.SetTitle) -> dict[str, str]:
        """Give a session another title."""
        client = await self._reach.client()
        await client.session(_checked(params.session_id)).update(title=params.title)
        return {"title": params.title}

    async def archive(self, params: sessions.OfSession) -> Nothing:
        """Take a session out of the list."""
        return await self._set_archived(params, archived=True)

    async def unarchive(self, params: sessions.OfSession) -> Nothing:
        """Put it back."""
        return await self._set_archived(params, archived=False)

    async def _set_archived(self, params: sessions.OfSession, *, archived: bool) -> Nothing:
        client = await self._reach.client()
        await client.session(_checked(params.session_id)).update(archived=archived)
        return _DONE

    async def status(self, params: sessions.OfSession) -> dict[str, str]:
        """Tell whether a session is open here."""
        if params.session_id in self._windows:
            return {"status": "open"}
        client = await self._reach.client()
        await client.session(_checked(params.session_id)).get()
        return {"status": "saved"}

    async def steer(self, params: sessions.Prompt) -> dict[str, str]:
        """Show a prompt to the run that goes on; if there is none, begin one, unless that is not wanted."""
        window = self._window_of(params.session_id)
        content = blocks_of(params.prompt)
        if window.run_id is None and _wants_prompt(params.meta):
            return {"outcome": "promptRequired"}
        admitted = await window.session.prompt(content, prompt_id=window.own_prompt_id(), delivery="steer")
        return {"outcome": "injected" if admitted.status == "steered" else "startedNewTurn"}

    def _window_of(self, session_id: str) -> Window:
        window = self._windows.get(session_id)
        if window is None:
            raise no_session(session_id)
        return window


def _directories(cwd: str, more: tuple[str, ...]) -> tuple[str, ...]:
    for directory in (cwd, *more):
        if not os.path.isabs(directory):  # noqa: PTH117 - a text of the editor's, no path of ours
            raise bad_params(f"Not an absolute path: {directory!r}.")
    return more


def _checked(session_id: str) -> str:
    """Give an id, if it can be one: to an editor, one of a wrong form is one that nobody knows."""
    if not _ID.fullmatch(session_id):
        raise no_session(session_id)
    return session_id


def _row(info: SessionInfo) -> sessions.SessionRow:
    at = datetime.fromtimestamp(info.updated_at / 1000, UTC).isoformat(timespec="milliseconds")
    return sessions.SessionRow(
        session_id=info.session_id, cwd=info.cwd, title=info.title, updated_at=at.replace("+00:00", "Z")
    )


def _wants_prompt(meta: Any) -> bool:
    match meta:
        case {"steering": {"idleBehavior": "promptRequired"}}:
            return True
        case _:
            return False
