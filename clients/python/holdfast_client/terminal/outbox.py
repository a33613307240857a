"""Calls that a person's wishes lead to: made beside everything else, bounded, their failures shown."""

from collections.abc import Awaitable, Callable
from typing import Final

from anyio.abc import TaskGroup

from holdfast_client.errors import ClientError
from holdfast_client.terminal.actions import Refused
from holdfast_client.terminal.items import Tone
from holdfast_protocol.errors import RpcError

CALLS_MAX: Final = 64
"""Under way at once; more than a person would make."""

Tell = Callable[[str, Tone], None]
"""Shows a line. Does not raise or wait."""


class Outbox:
    """The calls of one visit. One owner.

    Args:
        tasks: where they run.
        tell: see there.
    """

    def __init__(self, tasks: TaskGroup, tell: Tell) -> None:
        self._tasks = tasks
        self._tell = tell
        self._under_way = 0

    def begin(self, call: Callable[..., Awaitable[object]], *arguments: object) -> None:
        """Make a call; those begun earlier are sent earlier."""
        if self._under_way >= CALLS_MAX:
            self._tell("not sent: too much waits for an answer", "error")
            return
        self._under_way += 1
        self._tasks.start_soon(self._make, call, arguments)

    async def _make(self, call: Callable[..., Awaitable[object]], arguments: tuple[object, ...]) -> None:
        try:
            await call(*arguments)
        except Refused as refused:
            self._tell(str(refused), "warning")
        except (RpcError, ClientError) as error:
            self._tell(f"not done: {error}", "error")
        finally:
            self._under_way -= 1
