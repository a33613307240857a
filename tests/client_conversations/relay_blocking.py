"""A relay made with the blocking client library; see `relay_lines`.

As in any program without an event loop everything that waits has a thread: each call, each stream, the
notifications. What they hear has no order among them; a ping is answered when all have heard what there was.
"""

import contextlib
import os
import queue
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

import relay_lines as lines
from relay_lines import Message

from holdfast_client import blocking
from holdfast_client.aio import Notified
from holdfast_client.blocking import Client, EventStream, NotificationStream
from holdfast_client.core.tail import AnyEvent
from holdfast_client.errors import ClientClosed, ClientError
from holdfast_protocol.errors import RpcError
from holdfast_protocol.methods.subscribe import SessionSubscribeParams

_NOTHING_S = 0.01
"""Who has heard nothing for so long has heard what there was."""

_SETTLE_S_MAX = 2.0
_POSTED_S_MAX = 0.1


class Ear:
    """Something that is heard in a thread of its own.

    Attributes:
        silences: how often there was nothing more.
        ended: there will be nothing more.
    """

    def __init__(self) -> None:
        self.silences = 0
        self.ended = False


class Followed(Ear):
    """A session that is followed, and how far its events were told."""

    def __init__(self, params: SessionSubscribeParams, stream: EventStream, told: int) -> None:
        super().__init__()
        self.params = params
        self.stream = stream
        self.told = told
        self.covered = told  # By the stream, when it last had nothing more.
        self.items: deque[AnyEvent] = deque()  # Heard and not told.
        self.held: list[Notified] = []  # Came after the connection was lost.

    def goes_on(self, params: SessionSubscribeParams) -> bool:
        """Tell whether who wants to follow so wants the rest of this."""
        same = (params.types, params.deltas) == (self.params.types, self.params.deltas)
        return same and params.after == self.told and params.epoch in (None, self.stream.epoch)


class Relay:
    """One client of a conversation.

    Args:
        number: where what the client hears is told; another one after each loss.

    Attributes:
        commands: what it is to do.
        lost: the connection was lost, and nobody has come back to this client since.
    """

    _client: Client
    _notifications: NotificationStream

    def __init__(self, number: int) -> None:
        self.number = number
        self.commands: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.lost = False
        self._left = False
        self._connections = 1
        self._followed: dict[str, Followed] = {}  # By session.
        self._paused: dict[str, Followed] = {}  # Of these, those nobody came back to since the loss.
        self._heard = Ear()  # Of notifications.
        self._changed = threading.Condition(threading.RLock())  # Holds all of the above.
        self._beginning = threading.Lock()  # Notifications wait while a stream begins.

    def run(self, runtime: str, hello: Message) -> None:
        """Attach, and do what is told until it is to leave."""
        info = hello["params"]["client"]
        locations = lines.locations(runtime)
        with blocking.connect(
            "attach", locations=locations, autostart=False, client_id=info["id"], name=info["name"]
        ) as self._client:
            self._client.wait_connected()
            self._notifications = self._client.notifications(*lines.HEARD)
            self._tell(self.number, lines.answer(hello, self._client.server))
            threads = [_start(self._hear), _start(self._watch)]
            while not self._left:
                self._do(self.commands.get())
            self._notifications.close()
            for followed in (*self._followed.values(), *self._paused.values()):
                followed.stream.close()
            for thread in threads:
                thread.join()

    def _do(self, command: Message) -> None:
        match command:
            case {"back": int(number)}:
                self._client.wait_connected()
                with self._changed:
                    self._connections = self._client.statistics().connections
                    self.number, self.lost = number, False
            case {"close": True}:
                if self._client.connected:  # What was to be sent before is sent; or the daemon has just gone.
                    with contextlib.suppress(ClientError):
                        self._client.call("ping", timeout_s=lines.LAST_PING_S)
                with self._changed:
                    self._left = True
                    self._changed.notify_all()
            case {"send": messages}:
                for message in messages:
                    self._begin_call(message)

    # Calls -------------------------------------------------------------------------------------------------

    def _begin_call(self, message: Message) -> None:
        """Make a call in a thread, and see that it is under way before the next one is."""
        before = _posted(self._client)
        thread = _start(self._make, self.number, message)
        until = time.monotonic() + _POSTED_S_MAX
        while thread.is_alive() and _posted(self._client) == before and time.monotonic() < until:
            time.sleep(lines.LOOK_EVERY_S / 10)

    def _make(self, number: int, message: Message) -> None:
        try:
            if message["method"] == "session/subscribe":
                with self._beginning:
                    self._follow(number, message)
            else:
                self._tell(number, lines.answer(message, self._result(message)))
        except (RpcError, ClientError) as error:
            self._tell(number, lines.refusal(message, error))

    def _result(self, message: Message) -> Any:
        method, params = message["method"], message.get("params")
        if method == "initialize":
            return self._client.server
        if method == "session/unsubscribe":
            return self._unfollow(params["sessionId"])
        found = lines.typed(method, params)
        if found is None:
            return self._client.call(method, params)
        name, arguments = found
        result = getattr(self._client.rpc, name)(**arguments)
        if method == "ping":
            self._settle(self._heard, *self._followed.values())
        return result

    def _tell(self, number: int, body: bytes) -> None:
        with self._changed:
            if number == self.number and not self.lost:
                lines.write(number, body)

    def _settle(self, *ears: Ear) -> None:
        """Wait until these have heard what there is now."""
        with self._changed:
            for ear, before in [(ear, ear.silences) for ear in ears]:
                self._changed.wait_for(
                    lambda ear=ear, before=before: ear.ended or ear.silences > before + 1, _SETTLE_S_MAX
                )

    # Streams -----------------------------------------------------------------------------------------------

    def _follow(self, number: int, message: Message) -> None:
        params = lines.subscription(message)
        session = self._client.session(params.session_id)
        with self._changed:
            before = self._followed.pop(params.session_id, None)
            paused = self._paused.pop(params.session_id, None)
        followed = paused if paused is not None and paused.goes_on(params) else None
        for other in (before, paused):
            if other is not None and other is not followed:
                other.stream.close()
        found = self._client.rpc.session_get(session_id=params.session_id)
        if followed is None:
            followed = self._open(params, lines.begins_after(params, found))
        (oldest,) = session.read(limit=1)
        assert followed.stream.epoch is not None
        begun = lines.beginning(params, found, followed.stream.epoch, followed.told, oldest)
        with self._changed:
            self._tell(number, lines.answer(message, begun))
            self._followed[params.session_id] = followed
            self._tell_events(followed)
            for notified in followed.held:
                self._tell(number, lines.notification(notified.method, notified.raw))
            followed.held.clear()
            self._changed.notify_all()

    def _open(self, params: SessionSubscribeParams, after: int) -> Followed:
        stream = self._client.session(params.session_id).events(
            after, epoch=params.epoch, types=params.types, deltas=params.deltas == "all"
        )
        followed = Followed(params, stream, after)
        while stream.epoch is None and not followed.items:  # What is wrong shows at its beginning.
            with contextlib.suppress(TimeoutError):
                followed.items.append(stream.receive(_NOTHING_S))
        _start(self._pump, followed)
        return followed

    def _unfollow(self, session: str) -> dict[str, int]:
        followed = self._followed.get(session)
        if followed is None:
            return {}
        self._settle(followed)
        with self._changed:
            del self._followed[session]
        followed.stream.close()
        return {"cursor": followed.told}

    def _pump(self, followed: Followed) -> None:
        """Tell the events of a stream as they come."""
        while not followed.ended:
            with self._changed:
                self._changed.wait_for(lambda: followed.params.session_id not in self._paused or self._left)
            try:
                item = followed.stream.receive(_NOTHING_S)
            except TimeoutError:
                item = None
            except ClientClosed:
                assert self._left
                return
            else:
                followed.ended = item is None
            cursor = followed.stream.cursor
            with self._changed:
                if item is None:
                    followed.silences += 1
                    followed.covered = cursor
                else:
                    followed.items.append(item)
                self._tell_events(followed)
                self._changed.notify_all()

    def _tell_events(self, followed: Followed) -> None:
        """Tell what a stream gave; what a filter left out too, where nothing is on its way."""
        stream, items = followed.stream, list(followed.items)
        if self._followed.get(stream.session_id) is not followed or self.lost:
            return
        last = items[-1].seq if items else followed.covered
        if last > followed.told:
            first, followed.told = followed.told + 1, last
            assert stream.epoch is not None
            lines.write(self.number, lines.batch(stream.session_id, stream.epoch, first, last, items))
        followed.items.clear()

    # The connection ----------------------------------------------------------------------------------------

    def _hear(self) -> None:
        """Tell notifications as they come."""
        while not self._heard.ended:
            try:
                notified = self._notifications.receive(_NOTHING_S)
            except TimeoutError:
                with self._changed:
                    self._heard.silences += 1
                    self._changed.notify_all()
            else:
                self._heard.ended = notified is None
                if notified is not None:
                    with self._beginning:
                        self._take(notified)

    def _take(self, notified: Notified) -> None:
        session = notified.params.get("sessionId")
        with self._changed:
            if not notified.method.startswith("session/") or session in self._followed:
                self._tell(self.number, lines.notification(notified.method, notified.raw))
            elif session in self._paused:
                self._paused[session].held.append(notified)

    def _watch(self) -> None:
        """Tell when the connection is lost; what came before is told before."""
        while not self._left:
            time.sleep(lines.LOOK_EVERY_S)
            there = self._client.connected
            if self.lost or (there and self._client.statistics().connections == self._connections):
                continue
            self._settle(self._heard, *self._followed.values())
            with self._changed:
                self._tell(self.number, b"end")
                self.lost = True
                self._paused |= self._followed
                self._followed.clear()


class Relays:
    """All clients of all conversations."""

    def __init__(self) -> None:
        self._by_number: dict[int, Relay] = {}
        self._relays: dict[tuple[str, str], Relay] = {}  # By the daemon's directory, and name.

    def do(self, number: int, command: Message) -> None:
        """Do what a line says."""
        if "connect" in command:
            self._connect(number, **command["connect"])
        elif number in self._by_number:
            self._by_number[number].commands.put(command)
            if "close" in command:
                del self._by_number[number]

    def _connect(self, number: int, runtime: str, name: str, hello: Message) -> None:
        relay = self._relays.get((runtime, name))
        if relay is not None and relay.lost:
            self._by_number.pop(relay.number)
            self._by_number[number] = relay
            relay.commands.put({"back": number})
            relay.commands.put({"send": [hello]})
            return
        self._by_number[number] = self._relays[runtime, name] = relay = Relay(number)
        _start(relay.run, runtime, hello)


def _posted(client: Client) -> int:
    """Count the calls that are under way."""
    statistics = client.statistics()
    return statistics.in_flight + statistics.waiting


def _start(work: Callable[..., None], *args: Any) -> threading.Thread:
    """Do something in a thread; what it raises ends the relay."""

    def run() -> None:
        try:
            work(*args)
        finally:
            if sys.exc_info()[0] is not None:
                traceback.print_exc()
                os._exit(1)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def main() -> None:
    """Do what standard input says until it ends."""
    relays = Relays()
    for line in sys.stdin.buffer:
        relays.do(*lines.commands(line))
    os._exit(0)


if __name__ == "__main__":
    main()
