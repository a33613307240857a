"""One session of the daemon, for programs without an event loop. Methods are twins of the async ones."""

from collections.abc import Iterator, Sequence
from typing import Literal, overload

from holdfast_client import aio
from holdfast_client.aio.event_stream import After
from holdfast_client.aio.session import Content
from holdfast_client.blocking.iteration import each
from holdfast_client.blocking.streams import EventStream, EventTree, Run
from holdfast_client.blocking.twin import Twin, twin, wait_for
from holdfast_protocol.events import Mode
from holdfast_protocol.events.prompt import Delivery


class Session(Twin):
    """One session. See `aio.Session`."""

    original: aio.Session

    @property
    def id(self) -> str:
        """The session's id."""
        return self.original.id

    @property
    def epoch(self) -> str | None:
        """Of its log, if known."""
        return self.original.epoch

    prompt = twin(aio.Session.prompt)
    run = twin(aio.Session.run)
    cancel = twin(aio.Session.cancel)
    wait = twin(aio.Session.wait)
    continue_ = twin(aio.Session.continue_)
    read = twin(aio.Session.read)
    get = twin(aio.Session.get)
    update = twin(aio.Session.update)
    close = twin(aio.Session.close)
    delete = twin(aio.Session.delete)
    queue = twin(aio.Session.queue)
    queue_update = twin(aio.Session.queue_update)
    queue_remove = twin(aio.Session.queue_remove)
    requests = twin(aio.Session.requests)
    respond = twin(aio.Session.respond)
    attend = twin(aio.Session.attend)
    leave = twin(aio.Session.leave)
    host_tools = twin(aio.Session.host_tools)

    def stream(
        self,
        content: Content,
        *,
        prompt_id: str | None = None,
        delivery: Delivery = "queue",
        model: str | None = None,
        mode: Mode | None = None,
        deltas: bool = True,
    ) -> Run:
        """Give a prompt and its run, to be entered and iterated."""
        original = self.original.stream(
            content, prompt_id=prompt_id, delivery=delivery, model=model, mode=mode, deltas=deltas
        )
        return Run(self.portal, original)

    @overload
    def events(
        self,
        after: After = 0,
        *,
        epoch: str | None = None,
        types: Sequence[str] | None = None,
        deltas: bool = True,
        tree: Literal[False] = False,
    ) -> EventStream: ...

    @overload
    def events(
        self,
        after: After = 0,
        *,
        epoch: str | None = None,
        types: Sequence[str] | None = None,
        deltas: bool = True,
        tree: Literal[True],
    ) -> EventTree: ...

    def events(
        self,
        after: After = 0,
        *,
        epoch: str | None = None,
        types: Sequence[str] | None = None,
        deltas: bool = True,
        tree: bool = False,
    ) -> EventStream | EventTree:
        """Iterate the session's events, then those to come. See `aio.Session.events`."""

        async def make() -> EventStream | EventTree:
            if tree:
                original = self.original.events(after, epoch=epoch, types=types, deltas=deltas, tree=True)
                return EventTree(self.portal, original)
            return EventStream(
                self.portal, self.original.events(after, epoch=epoch, types=types, deltas=deltas)
            )

        return wait_for(self.portal, make)

    def fork(self, at: int | None = None, *, title: str | None = None) -> "Session":
        """Make a session that begins with this one's events up to and with `at`; default: all of them."""
        return Session(self.portal, wait_for(self.portal, self.original.fork, at, title=title))

    def export(self) -> Iterator[str]:
        """Iterate the lines of an export file, without their newlines."""
        return each(self.portal, self.original.export)
