"""The process of a plugin's agent, for one run: typed lines to and from it, each wait bounded.

Whatever goes wrong with it is a `ModelError`: kind `agent_failed` if it ended or raised, `protocol` if it
said what makes no sense, `timeout` if it said nothing.
"""

from typing import Final

import anyio
import msgspec

from holdfast_daemon.agents.agent_wire import LINE_BYTES_MAX, FromAgent, ToAgent
from holdfast_daemon.extensions.child import Child, ChildPlace, LineReader, TooLong
from holdfast_daemon.extensions.worker_pool import python
from holdfast_daemon.models.base import ModelError
from holdfast_protocol.events import ErrorInfo

IDLE_S: Final = 120.0
"""How long an agent may say nothing while nobody keeps it waiting; its own work counts, models do not."""

MESSAGE_CHARACTERS_MAX: Final = 8 * 1024
"""Of an error: it is shown whole in every client."""

_MODULE: Final = "holdfast_daemon.agents.agent_worker"
_LAST_WORDS_S: Final = 0.5
_LAST_WORDS_BYTES: Final = 64 * 1024
_PIECE_BYTES: Final = 256 * 1024  # Written at once, so that other tasks get their turns.
_FROM_AGENT: Final = msgspec.json.Decoder(FromAgent)


def agent_failure(kind: str, message: str) -> ModelError:
    """Give the error a run of an agent ends with."""
    return ModelError(ErrorInfo(kind=kind, message=message[:MESSAGE_CHARACTERS_MAX]))


class AgentProcess:
    """A process; made by `start`, ended by `end`, which whoever starts one must call."""

    def __init__(self, name: str, child: Child, idle_s: float) -> None:
        self._name = name
        self._child = child
        self._idle_s = idle_s
        self._lines = LineReader(child.receive, LINE_BYTES_MAX)

    @classmethod
    async def start(cls, name: str, folder: str, place: ChildPlace, idle_s: float = IDLE_S) -> "AgentProcess":
        """Start one.

        Args:
            name: the agent's, for messages.
            folder: the plugin's, absolute; modules are looked for there.
            place: where it runs.
            idle_s: see `IDLE_S`.

        Raises:
            ModelError: it could not be started.
        """
        try:
            child = await Child.start(python(_MODULE, folder, "run"), place)
        except OSError as error:
            raise agent_failure("agent_failed", f"{name} did not start: {error.strerror}") from error
        return cls(name, child, idle_s)

    async def tell(self, *lines: ToAgent) -> None:
        """Say lines to it.

        Raises:
            ModelError: it does not listen.
        """
        told = bytearray()
        for line in lines:
            told += msgspec.json.encode(line) + b"\n"
            if len(told) >= _PIECE_BYTES:
                await self._send(bytes(told))
                told.clear()
        if told:
            await self._send(bytes(told))

    async def hear(self) -> FromAgent:
        """Give what it says next.

        Raises:
            ModelError: it says nothing for too long, or as `hear_whenever`.
        """
        try:
            with anyio.fail_after(self._idle_s):
                return await self.hear_whenever()
        except TimeoutError as error:
            raise self._idle() from error

    async def hear_whenever(self) -> FromAgent:
        """Give what it says next, however long that takes; may be cancelled without loss.

        Raises:
            ModelError: it has ended, or makes no sense.
        """
        try:
            line = await self._lines.line()
            if line is None:
                raise await self._ended()
            return _FROM_AGENT.decode(line)
        except (TooLong, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise agent_failure("protocol", f"{self._name} said what makes no sense: {error}") from error

    async def end(self) -> None:
        """End it and all it started, at once; may be called again. Shielded."""
        await self._child.end()

    async def _send(self, data: bytes) -> None:
        try:
            with anyio.fail_after(self._idle_s):
                await self._child.send(data)
        except TimeoutError as error:
            raise self._idle() from error
        except BrokenPipeError as error:
            raise await self._ended() from error

    def _idle(self) -> ModelError:
        return agent_failure("timeout", f"{self._name} did nothing for {self._idle_s:g} s.")

    async def _ended(self) -> ModelError:
        """Say how it ended, with its last words."""
        said = bytearray()
        with anyio.move_on_after(_LAST_WORDS_S):
            await self._child.exited()
            while len(said) < _LAST_WORDS_BYTES and (data := await self._child.receive_error()):
                said += data
        words = " ".join(said[-2048:].decode("utf-8", "replace").split())
        return agent_failure(
            "agent_failed", f"The process of {self._name} ended{f': {words}' * bool(words)}."
        )
