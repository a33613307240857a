"""One prompt to the end of its run: its events as they come, and what it came to."""

from collections.abc import Callable
from typing import Final, Self

from holdfast_client.aio.answers import Attendance
from holdfast_client.aio.event_stream import EventStream
from holdfast_client.aio.rpc import Rpc
from holdfast_client.core.run_result import RunFold, RunResult
from holdfast_client.core.tail import AnyEvent
from holdfast_protocol.methods.prompt import SessionPromptParams, SessionPromptResult

ADMISSION_EVENTS: Final = 2
"""A prompt's admission: that it was received, and perhaps the start of its run."""


class Run:
    """A prompt and the run it starts. Enter it to send the prompt; iterate it for its events.

        async with session.stream("Tidy up") as run:
            async for event in run: ...
            result = await run.result()

    Leaving it does not end the run: only `session.cancel` does.

    Args:
        rpc: the client's.
        attendance: the client's; the session is attended from the prompt on.
        params: the prompt, with its id.
        follow: gives the session's events after a seq.

    Attributes:
        admitted: the daemon's answer to the prompt; set once entered.
    """

    def __init__(
        self,
        rpc: Rpc,
        attendance: Attendance,
        params: SessionPromptParams,
        follow: Callable[[int], EventStream],
    ) -> None:
        assert params.prompt_id is not None
        self._rpc = rpc
        self._attendance = attendance
        self._params = params
        self._follow = follow
        self._stream: EventStream | None = None
        self._fold = RunFold(params.session_id, params.prompt_id)
        self.admitted: SessionPromptResult | None = None

    @property
    def session_id(self) -> str:
        """The session it runs in."""
        return self._params.session_id

    @property
    def prompt_id(self) -> str:
        """The prompt's id."""
        return self._params.prompt_id or ""

    @property
    def run_id(self) -> str | None:
        """The run's id; None until the prompt started one."""
        return self._fold.run_id

    async def __aenter__(self) -> Self:
        """Send the prompt; it is durable when this returns.

        Raises:
            RpcError: it was refused.
        """
        await self._attendance.attend(self.session_id)
        self.admitted = await self._rpc.perform("session/prompt", self._params, SessionPromptResult)
        # What was admitted stands at `seq` and right before it, also if that was long ago: then this only
        # looks at what became of it.
        self._stream = self._follow(max(0, self.admitted.seq - ADMISSION_EVENTS))
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnyEvent:
        event = await self.receive()
        if event is None:
            raise StopAsyncIteration
        return event

    async def receive(self) -> AnyEvent | None:
        """Wait for the next event of the prompt or its run; None after its end."""
        assert self._stream is not None, "Enter it first."
        while self._fold.status is None:
            event = await self._stream.receive()
            if event is None:
                self._fold.status = "removed"
            elif self._fold.apply(event):
                return event
        return None

    async def receive_some(self, count: int = 1000) -> list[AnyEvent]:
        """Wait for an event, and give it with what else is here, at most `count`; none after the end."""
        first = await self.receive()
        some = [] if first is None else [first]
        while some and len(some) < count and self._fold.status is None:
            assert self._stream is not None
            event = self._stream.receive_nowait()
            if event is None:
                break
            if self._fold.apply(event):
                some.append(event)
        return some

    async def result(self) -> RunResult:
        """Wait for the end of the run, and give what it came to. A run that failed is a result too."""
        while await self.receive() is not None:
            pass
        return self._fold.result()
