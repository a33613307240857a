"""Carries slash commands out. Calls the daemon; gives the lines to show; knows no terminal."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, get_args

from holdfast_client.aio import Client, Session
from holdfast_client.shell import figures
from holdfast_client.shell.plain import one_line
from holdfast_client.terminal import commands
from holdfast_client.terminal.commands import Line
from holdfast_protocol import content
from holdfast_protocol.events import Mode
from holdfast_protocol.methods.session import SessionInfo
from holdfast_protocol.view import View

MODES: Final[tuple[Mode, ...]] = get_args(Mode)
SESSIONS_MAX: Final = 20

_TITLE_CHARS_MAX: Final = 50
_ID_CHARS: Final = 8

Act = Callable[[str], Awaitable[list[str]]]


class Refused(Exception):
    """A command made no sense; the message says why."""


class Actions:
    """The commands that ask the daemon something, or change the session.

    Args:
        client: the connection.
        session: the one that is attached to.
        view: gives the session's present state.
        cost: gives what the session has cost, if that is known.
        leave: called with a session's id to go to another one.

    Attributes:
        known: values for completion, by kind of argument; filled by `look`.
    """

    def __init__(
        self,
        client: Client,
        session: Session,
        view: Callable[[], View],
        cost: Callable[[], float | None],
        leave: Callable[[str], None],
    ) -> None:
        self._client = client
        self._session = session
        self._view = view
        self._cost = cost
        self._leave = leave
        self.known: dict[str, list[str]] = {"modes": list(MODES), "models": [], "sessions": []}
        self._acts: dict[str, Act] = {
            "help": self._help,
            "model": self._model,
            "mode": self._mode,
            "usage": self._usage,
            "queue": self._queue,
            "continue": self._continue,
            "sessions": self._sessions,
        }

    async def look(self) -> None:
        """Learn what commands can be completed with."""
        self.known["models"] = [model.name for model in (await self._client.rpc.model_list()).models]
        self.known["sessions"] = [info.session_id for info in await self._others()]

    async def perform(self, line: Line) -> list[str]:
        """Do what a command says, and give the lines to show.

        Raises:
            Refused: it makes no sense.
            RpcError, ClientError: the daemon refused it, or did not answer.
        """
        act = self._acts.get(line.name)
        if act is None:
            raise Refused(commands.unknown(line.name))
        return await act(line.argument)

    async def set_mode(self, mode: Mode) -> None:
        """Change the session's mode."""
        await self._session.update(mode=mode)

    async def _help(self, _argument: str) -> list[str]:
        return commands.help_lines()

    async def _model(self, argument: str) -> list[str]:
        if argument:
            await self._session.update(model=argument)
            return []
        listed = await self._client.rpc.model_list()
        settings = self._view().settings
        present = settings.model if settings is not None else listed.default
        return [
            f"{'*' if model.name == present else ' '} {model.name}  {model.description}"
            for model in listed.models
        ]

    async def _mode(self, argument: str) -> list[str]:
        if not argument:
            settings = self._view().settings
            return [f"mode: {settings.mode if settings else '?'}; there are {', '.join(MODES)}"]
        if argument not in MODES:
            raise Refused(f"there is no mode {argument!r}; there are {', '.join(MODES)}")
        await self.set_mode(argument)
        return []

    async def _usage(self, _argument: str) -> list[str]:
        view = self._view()
        usage: dict[str, Any] = {
            "input": view.usage.input,
            "cacheRead": view.usage.cache_read,
            "cacheWrite5m": view.usage.cache_write_5m,
            "cacheWrite1h": view.usage.cache_write_1h,
            "output": view.usage.output,
            "estimated": view.usage.estimated,
        }
        cost = self._cost()
        price = "cost of older runs is not known here" if cost is None else f"${cost:.4f}"
        return [f"{view.runs} runs, {figures.tokens(usage)}, {price}"]

    async def _queue(self, argument: str) -> list[str]:
        queue = await self._session.queue()
        verb, _, number = argument.partition(" ")
        match verb:
            case "":
                return _queue_lines([content.plain_text(prompt.content) for prompt in queue.prompts])
            case "clear":
                await self._session.queue_remove()
                return []
            case "remove" if number.isascii() and number.isdigit() and 0 < int(number) <= len(queue.prompts):
                await self._session.queue_remove(queue.prompts[int(number) - 1].prompt_id)
                return []
            case _:
                raise Refused("say /queue, /queue clear, or /queue remove N with the place of a prompt")

    async def _continue(self, _argument: str) -> list[str]:
        await self._session.continue_()
        return []

    async def _sessions(self, argument: str) -> list[str]:
        if argument:
            self._leave(await self._meant(argument))
            return []
        found = await self._others()
        return [_session_line(info, mine=info.session_id == self._session.id) for info in found]

    async def _others(self) -> list[SessionInfo]:
        settings = self._view().settings
        cwd = settings.cwd if settings is not None else None
        found: list[SessionInfo] = []
        async for info in self._client.sessions(cwd=cwd):
            found.append(info)
            if len(found) >= SESSIONS_MAX:
                break
        return found

    async def _meant(self, name: str) -> str:
        found: list[str] = []
        async for info in self._client.sessions():
            if info.session_id == name:
                return name
            if info.session_id.startswith(name) or name.casefold() in (info.title or "").casefold():
                found.append(info.session_id)
        if len(found) != 1:
            raise Refused(
                f"{name!r} may be {len(found)} sessions" if found else f"there is no session {name!r}"
            )
        return found[0]


def _queue_lines(texts: list[str]) -> list[str]:
    if not texts:
        return ["nothing waits"]
    return [f"{number} {one_line(text, _TITLE_CHARS_MAX)}" for number, text in enumerate(texts, 1)]


def _session_line(info: SessionInfo, *, mine: bool) -> str:
    title = one_line(info.title or "", _TITLE_CHARS_MAX)
    return f"{'*' if mine else ' '} {info.session_id[:_ID_CHARS]}  {info.status:8} {title}"
