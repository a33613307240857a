"""Has the conversation a file describes, step by step.

Every wait is bounded. When the steps are done the runner looks at everything once more (`audit`): what
holds in every conversation need not be said in any.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import anyio
from msgspec import UNSET

from conversations import audit
from conversations.conversation import (
    Answer,
    Answered,
    Call,
    Close,
    Closed,
    Connect,
    Conversation,
    Create,
    Cursor,
    DaemonStep,
    Disk,
    Events,
    InOrder,
    Let,
    NothingMore,
    Notification,
    Notify,
    Pipeline,
    Prompt,
    Raw,
    Refused,
    Send,
    Unanswered,
    Write,
)
from conversations.event_patterns import take_events
from conversations.listener import Listener
from conversations.patterns import Mismatch, check, expand, short
from conversations.raw_bodies import raw_body
from conversations.world import World
from fakes.daemons import Daemon, InProcessDaemon, ProcessDaemon
from fakes.home import Home
from fakes.links import LinkClosed

WAIT_S: Final = 10.0
"""The bound of every step; far above what any takes, since tests run beside each other."""

Message = dict[str, Any]


class Runner:
    """One conversation.

    Args:
        conversation: what is said.
        world: where.
    """

    def __init__(self, conversation: Conversation, world: World) -> None:
        self._conversation = conversation
        self._world = world
        self._waiting: set[tuple[Listener, Any]] = set()  # Calls a step has said are not answered.

    async def run(self) -> None:
        """Have the whole conversation.

        Raises:
            AssertionError: something was not as the file says.
        """
        world = self._world
        for path, text in self._conversation.files.items():
            world.write(path, text)
        await world.start()
        try:
            for step in self._conversation.steps:
                with _placed(step), anyio.fail_after(WAIT_S):
                    await self._step(step)
            with anyio.fail_after(WAIT_S):
                await self._look_back()
                if world.alive:  # Whatever was said to it, it ends in order.
                    await world.end_in_order()
        finally:
            world.close()

    async def _step(self, step: Any) -> None:
        match step:
            case Connect():
                await self._connect(step)
            case Call() | Create() | Prompt():
                await self._call(step)
            case Send() | Notify() | Raw() | Pipeline():
                await self._send(step)
            case Answer() | InOrder() | Answered() | Refused() | Unanswered():
                await self._hear_answer(step)
            case Events() | Notification() | Cursor() | NothingMore() | Closed():
                await self._hear(step)
            case Close() | DaemonStep() | Disk() | Let() | Write():
                await self._act(step)
            case _:
                raise AssertionError(f"no step: {step}")

    # Speaking ------------------------------------------------------------------------------------------

    async def _connect(self, step: Connect) -> None:
        listener, trusted = self._world.connect(step.connect, slow=step.slow)
        if step.initialize:
            token = None if trusted else self._world.variables["token"]
            await listener.client.initialize(token, step.as_ or step.connect)

    async def _call(self, step: Call | Create | Prompt) -> None:
        method, params = _call_of(step)
        listener = self._world.listener(step.by)
        request = self._request(listener, method, params)
        await listener.client.send(request)
        answer = await listener.answer(request["id"])
        self._check_answer(answer, step.expect, step.error)
        if isinstance(step, Create) and step.error is UNSET:
            self._check({"sessionId": "$session=", "epoch": "$epoch="}, answer["result"])

    async def _send(self, step: Send | Notify | Raw | Pipeline) -> None:
        listener = self._world.listener(step.by)
        with contextlib.suppress(LinkClosed):  # The daemon need not hear it out.
            if isinstance(step, Raw) and not step.framed:
                await listener.client.send_unframed(raw_body(step.raw, step.pad_to))
                return
            parts = step.pipeline if isinstance(step, Pipeline) else [step]
            messages = [message for part in parts for message in self._messages(listener, part)]
            await listener.client.send(*messages)

    def _messages(self, listener: Listener, part: Send | Notify | Raw) -> Iterator[Message | bytes]:
        match part:
            case Raw():
                yield raw_body(part.raw, part.pad_to)
            case Notify():
                params = (
                    {} if part.params is UNSET else {"params": expand(part.params, self._world.variables)}
                )
                yield {"jsonrpc": "2.0", "method": part.notify, **params}
            case Send():
                for number in range(1, (part.times or 1) + 1):
                    self._world.variables["n"] = number
                    request = self._request(listener, part.send, part.params)
                    self._world.tag(
                        f"{part.as_}{number}" if part.times else part.as_, listener, request["id"]
                    )
                    yield request

    def _request(self, listener: Listener, method: str, params: Any) -> Message:
        if params is UNSET:
            return listener.client.request(method)
        return listener.client.request(method, expand(params, self._world.variables))

    # Hearing -------------------------------------------------------------------------------------------

    async def _hear_answer(self, step: Answer | InOrder | Answered | Refused | Unanswered) -> None:
        match step:
            case Answer():
                listener, request_id = self._world.call(step.answer)
                self._check_answer(await listener.answer(request_id), step.expect, step.error)
            case InOrder():
                calls = [self._world.call(tag) for tag in step.in_order]
                places = [await listener.arrival(request_id) for listener, request_id in calls]
                assert places == sorted(places), f"the answers came in the places {places}"
            case Answered():
                await self._hear_raw_answers(step)
            case Refused():
                self._check_error(await self._world.listener(step.by).refusal(), step.refused)
            case Unanswered():
                listener, request_id = call = self._world.call(step.unanswered)
                await listener.catch_up()
                assert request_id in listener.unanswered(), f"{step.unanswered} is answered"
                self._waiting.add(call)

    async def _hear_raw_answers(self, step: Answered) -> None:
        listener = self._world.listener(step.by)
        ids = [expand(request_id, self._world.variables) for request_id in step.answered]
        places = [await listener.arrival(request_id) for request_id in ids]
        assert places == sorted(places), f"the answers came in the places {places}"
        for request_id in ids:
            self._check_answer(await listener.answer(request_id), UNSET, UNSET)

    async def _hear(self, step: Events | Notification | Cursor | NothingMore | Closed) -> None:
        variables = self._world.variables
        match step:
            case Events():
                listener = self._world.listener(step.by)
                await take_events(listener, expand(step.session, variables), step.events, variables)
            case Notification():
                await self._hear_notification(step)
            case Cursor():
                streams = self._world.listener(step.by).streams
                variables[step.cursor] = streams[expand(step.session, variables)].cursor
            case NothingMore():
                listener = self._world.listener(step.nothing_more)
                await listener.catch_up()
                assert listener.left_over() == []
            case Closed():
                listener = self._world.listener(step.closed)
                await listener.hear_out()
                assert (listener.left_over(), list(listener.refusals)) == ([], [])
                assert listener.client.unfinished == b""

    async def _hear_notification(self, step: Notification) -> None:
        listener = self._world.listener(step.by)
        while True:
            params = await listener.notification(step.notification)
            try:
                self._check(step.expect, params)
            except Mismatch:
                if not step.skip:
                    raise
            else:
                return

    async def _act(self, step: Close | DaemonStep | Disk | Let | Write) -> None:
        match step:
            case Close():
                self._world.open.pop(step.close).client.close()
            case DaemonStep(daemon="start"):
                await self._world.start()
            case DaemonStep():
                await self._world.end(step.daemon)
            case Disk(disk="full"):
                self._world.fill_disk()
            case Disk():
                self._world.free_disk()
            case Let():
                self._world.variables |= expand(step.let, self._world.variables)
            case Write():
                self._world.write(step.write, step.text)

    # Checking ------------------------------------------------------------------------------------------

    def _check(self, pattern: Any, value: Any) -> None:
        if pattern is not UNSET:
            check(pattern, value, self._world.variables)

    def _check_answer(self, answer: Message, expect: Any, error: Any) -> None:
        if error is UNSET:
            assert "result" in answer, f"expected a result, got {short(answer)}"
            self._check(expect, answer["result"])
        else:
            assert "error" in answer, f"expected an error, got {short(answer)}"
            self._check_error(answer["error"], error)

    def _check_error(self, error: Message, pattern: Any) -> None:
        assert isinstance(error.get("data"), dict), f"an error without data: {error}"
        self._check(pattern, {**error["data"], "code": error["code"], "message": error["message"]})

    async def _look_back(self) -> None:
        """Look at everything once more, now that all is said."""
        world = self._world
        broken: list[str] = []
        talking = (
            {}
            if not world.alive
            else {n: x for n, x in world.open.items() if x.opened and not x.client.closed}
        )
        for name, listener in talking.items():
            await listener.catch_up()
            expected = {request_id for owner, request_id in self._waiting if owner is listener}
            broken += [f"request {i} of {name} was not answered" for i in listener.unanswered() - expected]
        if talking:
            broken += await audit.read_all_logs(next(iter(talking.values())).client)
        broken += audit.transcript_violations(world.clients, relayed=world.relayed)
        assert not broken, "\n".join(broken)


async def have(
    conversation: Conversation, home: Home, world: Callable[[Daemon], World], *, stdio: bool = False
) -> None:
    """Have a conversation with a daemon of the kind it needs.

    Args:
        conversation: what is said.
        home: where the daemon lives.
        world: gives where it is said.
        stdio: the daemon is a sidecar.
    """
    if conversation.needs_process:
        with ProcessDaemon(home, stdio=stdio) as process:
            await Runner(conversation, world(process)).run()
    else:
        async with anyio.create_task_group() as tasks:
            await Runner(conversation, world(InProcessDaemon(home, tasks, stdio=stdio))).run()


def _call_of(step: Call | Create | Prompt) -> tuple[str, Any]:
    match step:
        case Call():
            return step.call, step.params
        case Create():
            return "session/create", {"cwd": "$cwd"} | step.create
        case Prompt():
            content = [{"type": "text", "text": step.prompt}]
            return "session/prompt", {"sessionId": "$session", "content": content} | step.params


@contextlib.contextmanager
def _placed(step: Any) -> Iterator[None]:
    """Say in a failure which step it was."""
    try:
        yield
    except Exception as error:
        error.add_note(f"line {step.line} of the conversation: {short(step)}")
        raise
