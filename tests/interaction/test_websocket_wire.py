"""The protocol over a WebSocket: the same messages, the same bytes, the same back-pressure."""

import json
import socket

import anyio
import msgspec
import pytest
from interaction_world import resident
from person import Person, calling, script, shell
from websocket_channel import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    WebSocketChannel,
    ask,
    frame_bytes,
    open_websocket,
    request_bytes,
    upgrade_headers,
)

from fakes.framings import FRAMINGS
from fakes.links import connect_tcp, connect_unix
from fakes.raw_client import ConnectionClosed, StreamChannel
from holdfast_daemon.config import HubLimits, NetLimits
from holdfast_daemon.net import websocket


def listening(home, **settings):
    return resident(home, ws=0, **settings)


async def page(daemon, name="page", token=None, **how):
    """Open a WebSocket and initialize; give the person and the channel."""
    channel = await open_websocket(daemon.record["ws"][1], token or daemon.record["token"], **how)
    person = Person(channel, name)
    daemon.people.append(person)
    await person.enter(None)
    return person, channel


def sockets_of(daemon, name):
    """Give the daemon's own ends of a client's connections."""
    callers = daemon.app._server._callers
    transports = [peer._transport for peer, caller in callers.items() if caller.client_id == name]
    inner = [getattr(transport, "_transport", None) for transport in transports]
    pairs = zip(transports, inner, strict=True)
    return [(within or outer).get_extra_info("socket") for outer, within in pairs]


async def slow_page(daemon, name="page"):
    """Open a WebSocket for which the kernel keeps next to nothing on either side."""
    person, channel = await page(daemon, name, slow=True)
    (connected,) = sockets_of(daemon, name)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return person, channel


def message_of(method, call_id=7, **params):
    return json.dumps({"jsonrpc": "2.0", "id": call_id, "method": method, "params": params}).encode()


async def test_a_whole_conversation(home):
    async with listening(home) as daemon:
        ann, _ = await page(daemon)
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(shell("echo größer")), {"text": "done"}))
        asked = await ann.event("request_opened")
        assert (await ann.answer_request(asked, "allow"))["accepted"]
        assert (await ann.end())["type"] == "run_completed"
        assert "größer" in ann.heard("tool_output")[0]["text"]
        log = await ann.log(session)
        assert [event | {"session": session} for event in log] == ann.events


async def test_a_message_may_be_written_over_several_lines(home):
    """A frame is a message: what would end one in another framing ends nothing here."""
    async with listening(home) as daemon:
        ann, channel = await page(daemon)
        body = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "ping"}, indent=2).encode()
        await channel.send([b"\r\n" + body + b"\n\n"])
        assert (await ann.answer(7))["result"] == {}


async def test_what_is_not_json_is_answered_and_the_connection_stays(home):
    async with listening(home) as daemon:
        ann, channel = await page(daemon)
        for body in (b"{bad", b"\xff\xfe", b"[]", b'{"jsonrpc":"2.0"}', b"5", b'{"a":1}{"b":2}'):
            await channel.send([body])
            heard = len(ann.transcript)
            await ann.hear(lambda heard=heard: len(ann.transcript) > heard)
            last = ann.transcript[-1].message
            assert last["id"] is None
            assert last["error"]["code"] in {-32700, -32600}
        await ann.call("ping")


async def test_a_message_in_fragments_is_one_message(home):
    async with listening(home) as daemon:
        ann, channel = await page(daemon)
        session = await ann.begin(home.work)
        body = json.dumps(
            {
                "jsonrpc": "2.0",
                "id": 7,
                "method": "session/update",
                "params": {"sessionId": session, "title": "größer"},
            },
            ensure_ascii=False,
        ).encode()
        cut = body.index("ö".encode()) + 1  # In the middle of a character.
        frames = [
            frame_bytes(TEXT, body[:5], fin=False),
            frame_bytes(CONTINUATION, b"", fin=False),
            frame_bytes(CONTINUATION, body[5:cut], fin=False),
            frame_bytes(PING, b"between"),
            frame_bytes(CONTINUATION, body[cut:]),
        ]
        for frame in frames:
            await channel.send_frames(frame)
        assert "result" in await ann.answer(7)
        assert (await ann.event("session_updated"))["title"] == "größer"
        assert [frame.payload for frame in channel.controls if frame.opcode == PONG] == [b"between"]


async def test_frames_come_in_any_pieces(home):
    async with listening(home) as daemon:
        ann, channel = await page(daemon)
        data = frame_bytes(TEXT, message_of("ping"))
        for at in range(len(data)):
            await channel.send_bytes(data[at : at + 1])
        assert (await ann.answer(7))["result"] == {}
        await channel.send_frames(*(frame_bytes(TEXT, message_of("ping", n)) for n in range(100, 140)))
        for number in range(100, 140):
            assert (await ann.answer(number))["result"] == {}


async def test_a_ping_is_answered_with_what_it_held(home):
    async with listening(home) as daemon:
        ann, channel = await page(daemon)
        await channel.send_frames(
            frame_bytes(PING, b"one"), frame_bytes(PING, b""), frame_bytes(PONG, b"mine")
        )
        await ann.call("ping")
        assert [frame.payload for frame in channel.controls if frame.opcode == PONG] == [b"one", b""]


async def test_a_peer_that_says_nothing_for_long_is_dead(home, monkeypatch):
    monkeypatch.setattr(websocket, "_PING_S", 0.05)
    monkeypatch.setattr(websocket, "_DEAD_S", 0.3)
    async with listening(home) as daemon:
        _, channel = await page(daemon)
        assert await channel.closed() is None
        assert [frame.opcode for frame in channel.controls].count(PING) >= 2
        owner = await daemon.person("owner")
        with anyio.fail_after(10):
            while (await owner.call("daemon/status"))["net"]["connections"] > 1:
                pass


async def test_a_peer_that_answers_pings_lives(home, monkeypatch):
    monkeypatch.setattr(websocket, "_PING_S", 0.05)
    monkeypatch.setattr(websocket, "_DEAD_S", 0.3)
    async with listening(home) as daemon:
        _, channel = await page(daemon)
        for _ in range(12):  # Twice as many pings as it could miss.
            seen = len(channel.controls)
            while len(channel.controls) == seen:
                await channel.receive()
            await channel.send_frames(frame_bytes(PONG, b""))
        assert channel.close_code is None


BROKEN = {
    "binary": ([frame_bytes(BINARY, b"x")], 1003),
    "binary in fragments": ([frame_bytes(BINARY, b"x", fin=False), frame_bytes(CONTINUATION, b"y")], 1003),
    "not masked": ([frame_bytes(TEXT, b"{}", masked=False)], 1002),
    "a reserved bit": ([frame_bytes(TEXT, b"{}", reserved=0x40)], 1002),
    "an unknown opcode": ([frame_bytes(0x3, b"{}")], 1002),
    "a continuation of nothing": ([frame_bytes(CONTINUATION, b"{}")], 1002),
    "a message inside another": ([frame_bytes(TEXT, b"{", fin=False), frame_bytes(TEXT, b"}")], 1002),
    "a ping in fragments": ([frame_bytes(PING, b"x", fin=False)], 1002),
    "a ping that is too long": ([frame_bytes(PING, b"x" * 126)], 1002),
    "a goodbye": ([frame_bytes(CLOSE, (1000).to_bytes(2, "big"))], 1000),
    "a goodbye without a code": ([frame_bytes(CLOSE, b"")], 1005),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_against_the_rules_closes_with_their_code(home, name):
    frames, code = BROKEN[name]
    async with listening(home) as daemon:
        _, channel = await page(daemon)
        await channel.send_frames(*frames)
        closed = await channel.closed()
        assert closed == (0 if code == 1005 else code)
        owner = await daemon.person("owner")
        with anyio.fail_after(10):
            while (await owner.call("daemon/status"))["net"]["connections"] > 1:
                pass


@pytest.mark.parametrize("first", ["binary", "not masked"])
async def test_nothing_behind_a_broken_frame_is_served(home, first):
    """Not even a cancel, which acts on being read; but what came before it in the same packet is."""
    async with listening(home) as daemon:
        owner = await daemon.person("owner")
        one, two = await owner.begin(home.work), await owner.begin(home.work)
        for session in (one, two):
            await owner.prompt(session, script({"hang": True}))
        _, channel = await page(daemon)
        before = frame_bytes(TEXT, message_of("session/cancel", 7, sessionId=one))
        behind = frame_bytes(TEXT, message_of("session/cancel", 8, sessionId=two))
        frames, code = BROKEN[first]
        await channel.send_frames(before, *frames, behind)
        assert await channel.closed() == code
        await owner.event("run_cancelled", session=one)
        assert (await owner.call("session/get", sessionId=two))["session"]["status"] == "running"
        await owner.call("session/cancel", sessionId=two)
        await owner.event("run_cancelled", session=two)


async def test_what_comes_with_a_goodbye_is_served(home):
    """A page that is closed cancels and leaves, in one packet."""
    async with listening(home) as daemon:
        owner = await daemon.person("owner")
        session = await owner.begin(home.work)
        await owner.prompt(session, script({"hang": True}))
        _, channel = await page(daemon)
        cancel = frame_bytes(TEXT, message_of("session/cancel", sessionId=session))
        await channel.send_frames(cancel, frame_bytes(CLOSE, (1001).to_bytes(2, "big")))
        assert await channel.closed() == 1001
        assert (await owner.end())["by"] == "page"


LIMIT = 4096


def sized(size):
    """Give a ping of exactly so many bytes."""
    body = message_of("ping", pad="")
    return body.replace(b'"pad": ""', b'"pad": "' + b"x" * (size - len(body)) + b'"')


@pytest.mark.parametrize("pieces", [1, 3])
async def test_a_message_at_the_limit_is_served_and_one_past_it_closes(home, pieces):
    async with listening(home, net=NetLimits(message_bytes_max=LIMIT)) as daemon:
        ann, channel = await page(daemon)
        for size, served in ((LIMIT, True), (LIMIT + 1, False)):
            body = sized(size)
            assert len(body) == size
            step = -(-size // pieces)
            parts = [body[at : at + step] for at in range(0, size, step)]
            for at, part in enumerate(parts):
                opcode = CONTINUATION if at else TEXT
                await channel.send_frames(frame_bytes(opcode, part, fin=at == len(parts) - 1))
            if served:
                assert (await ann.answer(7))["result"] == {}
        assert await channel.closed() == 1009


async def test_a_frame_that_only_says_it_is_too_large_closes_at_once(home):
    async with listening(home) as daemon:
        _, channel = await page(daemon)
        head = frame_bytes(TEXT, b"x" * 70_000)[:2] + (2**40).to_bytes(8, "big") + b"\0\0\0\0"
        await channel.send_bytes(head)
        assert await channel.closed() == 1009


async def test_revoking_the_token_closes_the_websocket(home):
    async with listening(home) as daemon:
        owner = await daemon.person("owner")
        made = await owner.call("token/create", name="page", role="controller")
        ann, channel = await page(daemon, token=made["token"])
        upgraded = await open_websocket(daemon.record["ws"][1], made["token"])
        session = await ann.begin(home.work)
        result = await owner.call("token/revoke", tokenId=made["info"]["tokenId"])
        assert result == {"revoked": True, "connections": 2}
        with anyio.fail_after(1):
            await channel.closed()
            await upgraded.closed()
        assert (await owner.call("session/get", sessionId=session))["session"]["sessionId"] == session
        upgraded.close()


async def test_a_lost_websocket_leaves_its_run_and_its_session(home):
    async with listening(home) as daemon:
        ann, _ = await page(daemon)
        session = await ann.begin(home.work)
        await ann.prompt(session, script(calling(shell("true")), {"text": "done"}))
        asked = await ann.event("request_opened")
        ann.close()
        again, _ = await page(daemon)
        await again.follow(session, asked["seq"])
        assert (await again.answer_request(asked, "allow"))["accepted"]
        assert (await again.end())["type"] == "run_completed"


class Recorded:
    """A channel that keeps each message's bytes. Implements `Channel`."""

    def __init__(self, channel):
        self._channel = channel
        self.bodies = []

    def __getattr__(self, name):
        return getattr(self._channel, name)

    async def receive(self):
        bodies = await self._channel.receive()
        self.bodies += bodies or []
        return bodies


def event_bytes(bodies):
    """Give each event's bytes as they stood in the batches."""
    found = []
    for body in bodies:
        message = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if bytes(message.get("method", b"")) == b'"session/events"':
            params = msgspec.json.decode(message["params"], type=dict[str, msgspec.Raw])
            found += [bytes(raw) for raw in msgspec.json.decode(params["events"], type=list[msgspec.Raw])]
    return found


async def test_events_are_the_same_bytes_on_every_transport(home):
    async with listening(home) as daemon:
        token, record = daemon.record["token"], daemon.record
        channels = {
            "unix-lines": Recorded(StreamChannel(connect_unix(record["unix"]), FRAMINGS["lines"]())),
            "unix-headers": Recorded(StreamChannel(connect_unix(record["unix"]), FRAMINGS["headers"]())),
            "tcp": Recorded(StreamChannel(connect_tcp(*record["tcp"]), FRAMINGS["headers"]())),
            "ws": Recorded(await open_websocket(record["ws"][1], token)),
        }
        people = {name: Person(channel, name) for name, channel in channels.items()}
        daemon.people.extend(people.values())
        for person in people.values():
            await person.enter(token)
        ann = people["ws"]
        session = await ann.create(home.work)
        for person in people.values():
            await person.follow(session)
        await ann.prompt(
            session, script(calling(shell("echo 'größer \U0001f642 \\u0000'")), {"text": "ä\n\t"})
        )
        await ann.answer_request(await ann.event("request_opened"), "allow")
        for person in people.values():
            await person.end()
        late = Recorded(await open_websocket(record["ws"][1], token))
        person = Person(late, "late")
        daemon.people.append(person)
        await person.enter(None)
        await person.follow(session)
        await person.end()
        found = {name: event_bytes(channel.bodies) for name, channel in (channels | {"replay": late}).items()}
        assert len(found["ws"]) == len(ann.events) > 15
        for name, events in found.items():
            assert events == found["ws"], name


SLOW_EVENTS = 3000


async def test_a_slow_reader_falls_back_to_its_cursor_and_misses_nothing(home):
    """It is told that it lags; others are not held up; all of it comes, in order, once it reads."""
    limits = {
        "net": NetLimits(send_high_water_bytes=16 * 1024),
        "hub": HubLimits(ring_bytes_max=32 * 1024),
    }
    async with listening(home, **limits) as daemon:
        slow, _ = await slow_page(daemon, "slow")
        ann = await daemon.person("ann")
        session = await ann.begin(home.work)
        await slow.follow(session)
        text = "x" * 200
        await ann.prompt(session, script({"interleave": {"count": SLOW_EVENTS, "blocks": 16, "text": text}}))
        assert (await ann.end())["type"] == "run_completed"
        statistics = (await ann.call("daemon/status"))["hub"]
        assert statistics["lagging"] == 1
        assert len(slow.events) < SLOW_EVENTS
        await slow.end()
        assert slow.events == ann.events
        assert len(slow.notifications("session/lagged")) >= 1
        assert slow.notifications("session/gap") == []
        await slow.call("ping")


async def test_a_slow_reader_is_still_answered_and_heard(home):
    """Its cancel acts though it reads nothing: what it writes does not wait for what it is to read."""
    async with listening(home, net=NetLimits(send_high_water_bytes=16 * 1024)) as daemon:
        ann, channel = await slow_page(daemon)
        bob = await daemon.person("bob")
        session = await ann.begin(home.work)
        await bob.follow(session)
        flood = {"interleave": {"count": 30_000, "blocks": 64, "per_second": 3000, "text": "x" * 200}}
        await ann.prompt(session, script(flood))
        with anyio.fail_after(20):
            while (await bob.call("daemon/status"))["hub"]["lagging"] == 0:
                pass
        await channel.send([message_of("session/cancel", sessionId=session)])
        assert (await bob.end())["type"] == "run_cancelled"


@pytest.mark.parametrize("over", ["tcp", "ws"])
async def test_answers_are_not_held_back_for_more_to_come(home, over):
    """Nagle's delay is off: an answer that waits for the acknowledgement of the one before is 40 ms late."""
    async with listening(home) as daemon:
        if over == "tcp":
            await daemon.person("ann", over="tcp")
        else:
            await page(daemon)
        (connected,) = sockets_of(daemon, "ann" if over == "tcp" else "page")
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_stopping_daemon_says_goodbye(home):
    async with listening(home) as daemon:
        ann, channel = await page(daemon)
        daemon.people.remove(ann)
        await (await daemon.person("owner")).call("ping")
    with anyio.fail_after(10):
        assert await channel.closed() == 1001
    channel.close()


async def test_a_daemon_process_offers_its_websocket_to_a_stock_client(home):
    """The `websockets` library's own client, as an independent peer."""
    from websockets.sync.client import connect

    async with listening(home) as daemon:
        port, token = daemon.record["ws"][1], daemon.record["token"]

        def talk():
            with connect(
                f"ws://127.0.0.1:{port}/", additional_headers={"Authorization": f"Bearer {token}"}
            ) as ws:
                ws.send(
                    message_of(
                        "initialize", protocol="holdfast", versions=[1], client={"id": "stock"}
                    ).decode()
                )
                return json.loads(ws.recv(timeout=10)), ws.ping().wait(10)

        result, ponged = await anyio.to_thread.run_sync(talk)
        assert result["result"]["role"] == "controller"
        assert ponged


async def test_without_an_upgrade_nothing_is_spoken(home):
    async with listening(home) as daemon:
        port = daemon.record["ws"][1]
        link, response = await ask(port, request_bytes(upgrade_headers(port)))
        assert response.status == 401
        channel = WebSocketChannel(link, response.rest)
        person = Person(channel, "nobody")
        with pytest.raises(ConnectionClosed):
            await person.hear(lambda: False)
        link.close()
