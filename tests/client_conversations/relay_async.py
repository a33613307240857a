"""A relay made with the async client library; see `relay_lines`.

What the library has for a client's streams is told before anything else is: so a ping finds all there is.
"""

import contextlib
import sys
from typing import Any

import anyio
import anyio.lowlevel
import relay_lines as lines
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from relay_lines import Message

import holdfast_client
from holdfast_client.aio import Client, EventStream, Notified
from holdfast_client.errors import ClientError
from holdfast_protocol.errors import RpcError
from holdfast_protocol.methods.subscribe import SessionSubscribeParams

_COMMANDS_MAX = 100


class Followed:
    """A session that is followed, and how far its events were told."""

    def __init__(self, params: SessionSubscribeParams, stream: EventStream) -> None:
        self.params = params
        self.stream = stream
        self.told = stream.cursor
        self.held: list[Notified] = []  # Came after the connection was lost.

    def goes_on(self, params: SessionSubscribeParams) -> bool:
        """Tell whether who wants to follow so wants the rest of this."""
        same = (params.types, params.deltas) == (self.params.types, self.params.deltas)
        return same and params.after == self.told and params.epoch in (None, self.stream.epoch)


class Relay:
    """One client of a conversation.

    Args:
        number: where what the client hears is told; another one after each loss.
        commands: what it is to do.

    Attributes:
        lost: the connection was lost, and nobody has come back to this client since.
    """

    _client: Client
    _tasks: TaskGroup

    def __init__(self, number: int, commands: MemoryObjectReceiveStream[Message]) -> None:
        self.number = number
        self.lost = False
        self._commands = commands
        self._left = False
        self._connections = 1
        self._followed: dict[str, Followed] = {}  # By session.
        self._paused: dict[str, Followed] = {}  # Of these, those nobody came back to since the loss.
        self._come_back = anyio.Event()
        self._beginning = anyio.Lock()  # Notifications wait while a stream begins.

    async def run(self, runtime: str, hello: Message) -> None:
        """Attach, and do what is told until it is to leave."""
        info = hello["params"]["client"]
        locations = lines.locations(runtime)
        async with (
            holdfast_client.connect(
                "attach", locations=locations, autostart=False, client_id=info["id"], name=info["name"]
            ) as self._client,
            anyio.create_task_group() as self._tasks,
        ):
            await self._client.wait_connected()
            self._tasks.start_soon(self._hear)
            self._tasks.start_soon(self._watch)
            self._tell(self.number, lines.answer(hello, self._client.server))
            while not self._left:
                await self._do(await self._commands.receive())
            self._tasks.cancel_scope.cancel()

    async def _do(self, command: Message) -> None:
        match command:
            case {"back": int(number)}:
                await self._client.wait_connected()
                self._connections = self._client.statistics().connections
                self.number, self.lost = number, False
            case {"close": True}:
                if self._client.connected:  # What was to be sent before is sent; or the daemon has just gone.
                    await anyio.lowlevel.checkpoint()
                    with contextlib.suppress(ClientError):
                        await self._client.call("ping", timeout_s=lines.LAST_PING_S)
                self._left = True
            case {"send": messages}:
                for message in messages:
                    self._tasks.start_soon(self._make, self.number, message)

    # Calls -------------------------------------------------------------------------------------------------

    async def _make(self, number: int, message: Message) -> None:
        try:
            if message["method"] == "session/subscribe":
                await self._follow(number, message)
            else:
                self._tell(number, lines.answer(message, await self._result(message)))
        except (RpcError, ClientError) as error:
            self._tell(number, lines.refusal(message, error))

    async def _result(self, message: Message) -> Any:
        method, params = message["method"], message.get("params")
        if method == "initialize":
            return self._client.server
        if method == "session/unsubscribe":
            return self._unfollow(params["sessionId"])
        found = lines.typed(method, params)
        if found is None:
            return await self._client.call(method, params)
        name, arguments = found
        return await getattr(self._client.rpc, name)(**arguments)

    def _tell(self, number: int, body: bytes) -> None:
        """Tell something, and before it what there is of events."""
        if number == self.number and not self.lost:
            for followed in self._followed.values():
                self._tell_events(followed)
            lines.write(number, body)

    # Streams -----------------------------------------------------------------------------------------------

    async def _follow(self, number: int, message: Message) -> None:
        params = lines.subscription(message)
        async with self._beginning:
            followed = self._paused.pop(params.session_id, None)
            if followed is None or not followed.goes_on(params):
                self._close(followed or self._followed.pop(params.session_id, None))
                followed = None
            found = await self._client.rpc.session_get(session_id=params.session_id)
            if followed is None:
                followed = await self._open(params, lines.begins_after(params, found))
            (oldest,) = await self._client.session(params.session_id).read(limit=1)
            assert followed.stream.epoch is not None
            begun = lines.beginning(params, found, followed.stream.epoch, followed.told, oldest)
            self._tell(number, lines.answer(message, begun))
            self._followed[params.session_id] = followed
            for notified in followed.held:
                self._tell(number, lines.notification(notified.method, notified.raw))
            followed.held.clear()
        self._come_back.set()
        self._come_back = anyio.Event()

    async def _open(self, params: SessionSubscribeParams, after: int) -> Followed:
        stream = self._client.session(params.session_id).events(
            after, epoch=params.epoch, types=params.types, deltas=params.deltas == "all"
        )
        followed = Followed(params, stream)
        followed.told = after
        await stream.fill()
        self._tasks.start_soon(self._pump, followed)
        return followed

    def _unfollow(self, session: str) -> dict[str, int]:
        followed = self._followed.pop(session, None)
        if followed is None:
            return {}
        self._tell_events(followed)
        self._close(followed)
        return {"cursor": followed.told}

    def _close(self, followed: Followed | None) -> None:
        if followed is not None:
            followed.stream.close()

    async def _pump(self, followed: Followed) -> None:
        """Tell the events of a stream as they come."""
        while not followed.stream.is_ended:
            if self._followed.get(followed.params.session_id) is followed:
                self._tell_events(followed)
                if not followed.stream.is_ended:
                    await followed.stream.fill()
            else:
                await self._come_back.wait()

    def _tell_events(self, followed: Followed) -> None:
        stream, items = followed.stream, []
        while (item := stream.receive_nowait()) is not None:
            items.append(item)
        if stream.cursor > followed.told:
            first, followed.told = followed.told + 1, stream.cursor
            assert stream.epoch is not None
            lines.write(
                self.number, lines.batch(stream.session_id, stream.epoch, first, followed.told, items)
            )

    # The connection ----------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        """Tell notifications as they come."""
        async for notified in self._client.notifications(*lines.HEARD):
            async with self._beginning:
                self._take(notified)

    def _take(self, notified: Notified) -> None:
        session = notified.params.get("sessionId")
        if not notified.method.startswith("session/") or session in self._followed:
            self._tell(self.number, lines.notification(notified.method, notified.raw))
        elif session in self._paused:
            self._paused[session].held.append(notified)

    async def _watch(self) -> None:
        """Tell when the connection is lost; what came before is told before."""
        while True:
            await anyio.sleep(lines.LOOK_EVERY_S)
            there = self._client.connected
            if self.lost or (there and self._client.statistics().connections == self._connections):
                continue
            self._tell(self.number, b"end")
            self.lost = True
            self._paused |= self._followed
            self._followed.clear()


class Relays:
    """All clients of all conversations."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._commands: dict[int, MemoryObjectSendStream[Message]] = {}
        self._relays: dict[tuple[str, str], Relay] = {}  # By the daemon's directory, and name.

    async def do(self, number: int, command: Message) -> None:
        """Do what a line says."""
        if "connect" in command:
            await self._connect(number, **command["connect"])
        elif number in self._commands:
            await self._commands[number].send(command)
            if "close" in command:
                del self._commands[number]

    async def _connect(self, number: int, runtime: str, name: str, hello: Message) -> None:
        relay = self._relays.get((runtime, name))
        if relay is not None and relay.lost:
            commands = self._commands.pop(relay.number)
            self._commands[number] = commands
            await commands.send({"back": number})
            await commands.send({"send": [hello]})
            return
        self._commands[number], commands = anyio.create_memory_object_stream[Message](_COMMANDS_MAX)
        self._relays[runtime, name] = relay = Relay(number, commands)
        self._tasks.start_soon(relay.run, runtime, hello)


async def main() -> None:
    """Do what standard input says until it ends."""
    async with anyio.create_task_group() as tasks:
        relays = Relays(tasks)
        async for line in anyio.wrap_file(sys.stdin.buffer):
            number, command = lines.commands(line)
            await relays.do(number, command)
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main)
