"""Runs a conversation file over one transport and framing.

Every wait is bounded. When the steps are done the runner looks at everything once more (`audit`): what
holds in every conversation need not be said in any.
"""

import contextlib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import anyio
import msgspec
from msgspec import UNSET

from conversations import audit, patterns
from conversations.conversation import (
    Answer,
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
from conversations.raw_bodies import raw_body
from fakes.daemons import Home, InProcessDaemon, ProcessDaemon
from fakes.framings import FRAMINGS
from fakes.links import Link, LinkClosed, connect_tcp, connect_unix
from fakes.raw_client import ConnectionClosed, Entry, RawClient, StreamChannel, encode

WAIT_S: Final = 10.0
"""The bound of every step; far above what any takes, since tests run beside each other."""


class Wire(NamedTuple):
    """What a conversation runs over.

    On `stdio` the first client of each daemon is the sidecar's parent; further ones come in over TCP.
    """

    transport: Literal["unix", "tcp", "stdio"]
    framing: str

    def __str__(self) -> str:
        return f"{self.transport}-{self.framing}"


WIRES: Final = tuple(Wire(*pair) for pair in product(("unix", "tcp", "stdio"), FRAMINGS))


class Runner:
    """One conversation being had.

    Args:
        conversation: what is said.
        wire: over what.
        home: where the daemon lives.
        daemon: not started yet.
    """

    def __init__(
        self, conversation: Conversation, wire: Wire, home: Home, daemon: InProcessDaemon | ProcessDaemon
    ) -> None:
        self._conversation = conversation
        self._wire = wire
        self._home = home
        self._daemon = daemon
        self._alive = False  # The daemon runs.
        self._stdio_taken = False  # This daemon's stdin and stdout have their client.
        self._first: str | None = None  # The client that steps mean which name none.
        self._open: dict[str, Listener] = {}  # By name; a later connection takes the name over.
        self._clients: list[RawClient] = []  # All there ever were.
        self._tags: dict[str, tuple[Listener, Any]] = {}  # Calls by tag: whose, and its id.
        self._variables: patterns.Variables = {
            "cwd": str(home.work.resolve()),
            "home": str(home.path.resolve()),
        }

    async def run(self) -> None:
        """Have the whole conversation.

        Raises:
            AssertionError: something was not as the file says.
        """
        for path, text in self._conversation.files.items():
            self._write(path, text)
        await self._start()
        try:
            for step in self._conversation.steps:
                with self._explained(step), anyio.fail_after(WAIT_S):
                    await self._step(step)
            with anyio.fail_after(2 * WAIT_S):
                await self._look_back()
        finally:
            for client in self._clients:
                client.close()
        await self._end()

    # Steps ---------------------------------------------------------------------------------------------

    async def _step(self, step: Any) -> None:
        match step:
            case Connect():
                await self._connect(step)
            case Call() | Create() | Prompt():
                await self._call(step)
            case Send() | Notify() | Raw() | Pipeline():
                await self._send(step)
            case Answer() | InOrder() | Refused() | Unanswered():
                await self._hear_answer(step)
            case Events() | Notification() | Cursor() | NothingMore() | Closed():
                await self._hear(step)
            case Close() | DaemonStep() | Disk() | Write():
                await self._act(step)
            case _:
                raise AssertionError(f"no step: {step}")

    async def _connect(self, step: Connect) -> None:
        client = RawClient(StreamChannel(self._link(slow=step.slow), FRAMINGS[self._wire.framing]()), step.connect)
        self._clients.append(client)
        self._open[step.connect] = Listener(client)
        self._first = self._first or step.connect
        if step.initialize:
            trusted = self._wire.transport == "stdio" and step.connect == self._first
            token = None if trusted else self._daemon.endpoint.token
            await client.initialize(token, step.as_ or step.connect)

    def _link(self, *, slow: bool) -> Link:
        endpoint = self._daemon.endpoint
        if self._wire.transport == "stdio" and not self._stdio_taken:
            assert isinstance(self._daemon, ProcessDaemon)
            self._stdio_taken = True
            return self._daemon.take_stdio()
        if self._wire.transport == "unix":
            return connect_unix(endpoint.unix, slow=slow)
        return connect_tcp(*endpoint.tcp, slow=slow)

    async def _call(self, step: Call | Create | Prompt) -> None:
        method, params = self._call_of(step)
        listener = self._listener(step.by)
        request = self._request(listener, method, params)
        await listener.client.send(request)
        answer = await listener.answer(request["id"])
        expect = step.expect
        if isinstance(step, Create) and step.error is UNSET:
            captures = {"sessionId": "$session=", "epoch": "$epoch="}
            expect = captures | (expect if expect is not UNSET else {})
            patterns.check(captures, answer.get("result", answer), self._variables)
        self._check_answer(answer, expect, step.error)

    @staticmethod
    def _call_of(step: Call | Create | Prompt) -> tuple[str, Any]:
        match step:
            case Call():
                return step.call, step.params
            case Create():
                return "session/create", {"cwd": "$cwd"} | step.create
            case Prompt():
                content = [{"type": "text", "text": step.prompt}]
                return "session/prompt", {"sessionId": "$session", "content": content} | step.params

    async def _send(self, step: Send | Notify | Raw | Pipeline) -> None:
        listener = self._listener(step.by)
        if isinstance(step, Raw) and not step.framed:
            with contextlib.suppress(LinkClosed):  # The daemon need not hear it out.
                await listener.client.send_bytes(raw_body(step.raw, step.pad_to))
            return
        parts = step.pipeline if isinstance(step, Pipeline) else [step]
        bodies = [body for part in parts for body in self._bodies(listener, part)]
        with contextlib.suppress(LinkClosed):
            await listener.client.send_bodies(bodies)

    def _bodies(self, listener: Listener, part: Send | Notify | Raw) -> Iterator[tuple[bytes, Any]]:
        """Give the bodies a part of a pipeline stands for, each with its message, if it is one."""
        match part:
            case Raw():
                yield raw_body(part.raw, part.pad_to), None
            case Notify():
                message = {"jsonrpc": "2.0", "method": part.notify}
                if part.params is not UNSET:
                    message["params"] = patterns.expand(part.params, self._variables)
                yield encode(message), message
            case Send():
                for number in range(1, (part.times or 1) + 1):
                    self._variables["n"] = number
                    request = self._request(listener, part.send, part.params)
                    self._tag(f"{part.as_}{number}" if part.times else part.as_, listener, request["id"])
                    yield encode(request), request

    async def _hear_answer(self, step: Answer | InOrder | Refused | Unanswered) -> None:
        match step:
            case Answer():
                listener, request_id = self._tags[step.answer]
                self._check_answer(await listener.answer(request_id), step.expect, step.error)
            case InOrder():
                calls = [self._tags[tag] for tag in step.in_order]
                places = [await listener.arrival(request_id) for listener, request_id in calls]
                assert places == sorted(places), f"the answers came in the places {places}"
            case Refused():
                self._check_error(await self._listener(step.by).refusal(), step.refused)
            case Unanswered():
                listener, request_id = self._tags[step.unanswered]
                await listener.catch_up()
                assert request_id in listener.unanswered(), f"{step.unanswered} is answered"

    async def _hear(self, step: Events | Notification | Cursor | NothingMore | Closed) -> None:
        match step:
            case Events():
                session = patterns.expand(step.session, self._variables)
                await take_events(self._listener(step.by), session, step.events, self._variables)
            case Notification():
                await self._hear_notification(step)
            case Cursor():
                session = patterns.expand(step.session, self._variables)
                self._variables[step.cursor] = self._listener(step.by).streams[session].cursor
            case NothingMore():
                listener = self._listener(step.nothing_more)
                await listener.catch_up()
                assert listener.left_over() == []
            case Closed():
                listener = self._listener(step.closed)
                await listener.hear_out()
                assert (listener.left_over(), list(listener.refusals)) == ([], [])
                assert listener.client.unfinished == b""

    async def _hear_notification(self, step: Notification) -> None:
        listener = self._listener(step.by)
        while True:
            params = await listener.notification(step.notification)
            try:
                self._check(step.expect, params)
            except patterns.Mismatch:
                if not step.skip:
                    raise
            else:
                return

    async def _act(self, step: Close | DaemonStep | Disk | Write) -> None:
        match step:
            case Close():
                self._open.pop(step.close).client.close()
            case DaemonStep(daemon="start"):
                await self._start()
            case DaemonStep():
                await self._end_daemon(step.daemon)
            case Disk():
                assert isinstance(self._daemon, ProcessDaemon)
                full = step.disk == "full"
                self._daemon.limit_file_size(self._home.wal.stat().st_size if full else None)
            case Write():
                self._write(step.write, step.text)

    async def _end_daemon(self, how: str) -> None:
        match how:
            case "stop":
                await self._daemon.stop()
            case "kill":
                assert isinstance(self._daemon, ProcessDaemon)
                await self._daemon.kill()
            case "exits":
                assert await self._daemon.exited() == 0
            case _:
                raise AssertionError(f"a daemon cannot {how}")
        self._alive = False
        for listener in self._open.values():  # What came before the end is still to be looked at.
            await listener.hear_out()
            listener.client.close()

    # Checking ------------------------------------------------------------------------------------------

    def _check(self, pattern: Any, value: Any) -> None:
        if pattern is not UNSET:
            patterns.check(pattern, value, self._variables)

    def _check_answer(self, answer: dict[str, Any], expect: Any, error: Any) -> None:
        if error is not UNSET:
            assert "error" in answer, f"expected an error, got {patterns.short(answer)}"
            self._check_error(answer["error"], error)
        else:
            assert "result" in answer, f"expected a result, got {patterns.short(answer)}"
            self._check(expect, answer["result"])

    def _check_error(self, error: dict[str, Any], pattern: Any) -> None:
        assert isinstance(error.get("data"), dict), f"an error without data: {error}"
        flat = error["data"] | {"code": error["code"], "message": error["message"]}
        self._check(pattern, flat)

    async def _look_back(self) -> None:
        """Look at everything once more, now that all is said."""
        broken: list[str] = []
        for name, listener in self._open.items():
            if self._alive and not listener.client.closed:
                await self._catch_up(listener)
                expected = {request_id for owner, request_id in self._waiting if owner is listener}
                broken += [f"request {i} of {name} was not answered" for i in listener.unanswered() - expected]
        reader = next((item.client for item in self._open.values() if self._can_read(item)), None)
        if reader is not None:
            broken += await audit.read_all_logs(reader)
        broken += audit.transcript_violations(self._clients)
        assert broken == []

    # The daemon ----------------------------------------------------------------------------------------

    async def _start(self) -> None:
        await self._daemon.start()
        self._alive = True
        self._stdio_taken = False
        self._first = None
        self._variables["token"] = self._daemon.endpoint.token

    async def _end(self) -> None:
        """Let the daemon go; it must end in order, whatever was said to it."""
        with anyio.fail_after(WAIT_S):
            if self._alive:
                await self._daemon.stop()
                assert await self._daemon.exited() == 0

    def _write(self, name: str, text: str) -> None:
        path = self._home.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def _listener(self, name: str | None) -> Listener:
        assert self._first is not None, "no client is connected"
        return self._open[name or self._first]
