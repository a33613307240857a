"""Who may open a WebSocket, and what everybody else is told (T2, T3, T6): a status and nothing more.

CVE-2025-52882, CVE-2026-22812, CVE-2025-66416, CVE-2026-40110: any Origin, no token, rebinding, prefixes.
"""

import json

import pytest
from interaction_world import resident
from person import Person
from websocket_channel import (
    TEXT,
    WebSocketChannel,
    ask,
    frame_bytes,
    open_websocket,
    read_response,
    request_bytes,
    upgrade_headers,
)

from fakes.links import connect_tcp
from holdfast_daemon.config import NetLimits

ALLOWED = "https://app.example"


def port_of(daemon):
    return daemon.record["ws"][1]


def listening(home, **settings):
    return resident(home, ws=0, ws_origins=(ALLOWED,), **settings)


async def status(daemon, start="GET / HTTP/1.1", more=(), **changes):
    """Give the status of an upgrade that has the owner's token unless a change says otherwise."""
    port = port_of(daemon)
    changes = {"authorization": f"Bearer {daemon.record['token']}"} | changes
    changes = {name: value and value.replace("PORT", str(port)) for name, value in changes.items()}
    headers = [*upgrade_headers(port, **changes), *more]
    link, response = await ask(port, request_bytes(headers, start))
    try:
        if response is None:
            return None
        if response.status != 101:
            await refused_plainly(link, response)
        return response.status
    finally:
        link.close()


async def refused_plainly(link, response):
    """A refusal has no body, no header that helps a page, and ends the connection."""
    body = response.rest
    while piece := await link.read():
        body += piece
    names = {name.lower() for name, _ in response.headers}
    assert not {name for name in names if name.startswith("access-control")}
    assert not names & {"set-cookie", "location"}
    assert "token" not in str(response.headers).lower()
    assert len(body) < 200
    if response.status in {401, 403, 404, 421}:
        assert body == b""


HOSTS = {
    "127.0.0.1:PORT": 101,
    "localhost:PORT": 101,
    "127.0.0.1": 421,
    "localhost": 421,
    "127.0.0.1:PORT0": 421,
    "127.0.0.1:1": 421,
    "evil.example": 421,
    "evil.example:PORT": 421,
    "127.0.0.1.evil.example:PORT": 421,
    "localhost.evil.example:PORT": 421,
    "127.0.0.1:PORT.evil.example": 421,
    "[::1]:PORT": 421,
    "0.0.0.0:PORT": 421,
    "127.1:PORT": 421,
    "2130706433:PORT": 421,
    "user@127.0.0.1:PORT": 421,
    "LOCALHOST:PORT": 421,
    "": 421,
}


async def test_the_host_is_exactly_ours(home):
    async with listening(home) as daemon:
        found = {host: await status(daemon, host=host) for host in HOSTS}
        assert found == HOSTS
        assert await status(daemon, host=None) == 421
        assert await status(daemon, more=[("Host", "evil.example")]) == 421
        assert await status(daemon, more=[("Host", f"127.0.0.1:{port_of(daemon)}")]) == 421


ORIGINS = {
    "http://127.0.0.1:PORT": 101,
    "http://localhost:PORT": 101,
    ALLOWED: 101,
    "https://127.0.0.1:PORT": 403,
    "http://127.0.0.1": 403,
    "http://127.0.0.1:1": 403,
    "http://127.0.0.1:PORT.evil.example": 403,
    "http://127.0.0.1:PORT@evil.example": 403,
    "http://evil.example": 403,
    "http://evil.example:PORT": 403,
    f"{ALLOWED}.evil.example": 403,
    "https://evil-app.example": 403,
    "https://sub.app.example": 403,
    "http://app.example": 403,
    f"{ALLOWED}:443": 403,
    f"{ALLOWED}:444": 403,
    f"{ALLOWED}?x": 403,
    f"{ALLOWED}#x": 403,
    ALLOWED.upper(): 403,
    "http://127.0.0.1:0PORT": 403,
    "ht\ttp://127.0.0.1:PORT": 403,
    f"{ALLOWED}/": 403,
    f"{ALLOWED}/path": 403,
    "null": 403,
    "": 403,
    "file://": 403,
    "https://": 403,
    "vscode-webview://127.0.0.1:PORT": 403,
    "http://[127.0.0.1]:PORT": 403,
    "http://127.0.0.1:99999": 403,
    "http://127.0.0.1:PORT http://evil.example": 403,
}


async def test_the_origin_is_exactly_one_that_is_allowed(home):
    async with listening(home) as daemon:
        found = {origin: await status(daemon, origin=origin) for origin in ORIGINS}
        assert found == ORIGINS
        assert await status(daemon) == 101, "what is no browser sends none"
        ours = f"http://127.0.0.1:{port_of(daemon)}"
        assert await status(daemon, origin=ours, more=[("Origin", "http://evil.example")]) == 403
        assert await status(daemon, origin=ours, more=[("Origin", ours)]) == 403


@pytest.mark.parametrize(
    "start", ["GET /", "GET //", "GET /?token=TOKEN", "GET /x", "GET /ws", "GET /%2e", "GET *"]
)
async def test_the_path_is_the_root_alone_and_a_token_in_it_opens_nothing(home, start):
    async with listening(home) as daemon:
        line = start.replace("TOKEN", daemon.record["token"]) + " HTTP/1.1"
        assert await status(daemon, line) == (101 if start == "GET /" else 404)
        if start != "GET /":
            assert await status(daemon, line, authorization=None) == 404


async def test_a_token_is_needed_and_is_the_whole_token(home):
    async with listening(home) as daemon:
        token = daemon.record["token"]
        table = {
            None: 401,
            "": 401,
            "Bearer": 401,
            "Bearer ": 401,
            "Bearer wrong": 401,
            f"Bearer {token}": 101,
            f"bearer {token}": 101,
            f"Bearer {token[:-1]}": 401,
            f"Bearer {token}x": 401,
            f"Bearer {token.swapcase()}": 401,
            "Bearer t\xf6ken": 401,
            f"Basic {token}": 401,
            token: 401,
            f"Bearer {token} {token}": 401,
        }
        found = {value: await status(daemon, authorization=value) for value in table}
        assert found == table


async def test_a_page_gives_its_token_as_a_subprotocol_that_is_never_answered(home):
    async with listening(home) as daemon:
        port, token = port_of(daemon), daemon.record["token"]
        table = {
            f"holdfast.v1, holdfast.token.{token}": (101, "holdfast.v1"),
            f"holdfast.token.{token}, holdfast.v1": (101, "holdfast.v1"),
            f"holdfast.token.{token}": (101, None),
            "holdfast.v1": (401, None),
            f"holdfast.v1, {token}": (401, None),
            "holdfast.v1, holdfast.token.wrong": (401, None),
            f"holdfast.v1, holdfast.token.{token}x": (401, None),
            f"holdfast.v1, HOLDFAST.TOKEN.{token}": (401, None),
        }
        for offered, expected in table.items():
            request = request_bytes(upgrade_headers(port, sec_websocket_protocol=offered))
            link, response = await ask(port, request)
            link.close()
            found = (response.status, response.header("sec-websocket-protocol"))
            assert found == expected, offered
            assert token not in str(response.headers)


async def test_what_is_wrong_first_is_told_first(home):
    """Host before Origin before path before token: a page of elsewhere learns nothing about tokens."""
    async with listening(home) as daemon:
        wrong = {"host": "evil.example", "origin": "http://evil.example", "authorization": None}
        assert await status(daemon, "GET /x HTTP/1.1", **wrong) == 421
        del wrong["host"]
        assert await status(daemon, "GET /x HTTP/1.1", **wrong) == 403
        del wrong["origin"]
        assert await status(daemon, "GET /x HTTP/1.1", **wrong) == 404
        assert await status(daemon, **wrong) == 401


UPGRADES = {
    "a plain GET": ({"upgrade": None, "connection": None}, 426),
    "another protocol": ({"upgrade": "h2c"}, 426),
    "no connection header": ({"connection": None}, 426),
    "a connection that stays": ({"connection": "keep-alive"}, 426),
    "no key": ({"sec_websocket_key": None}, 400),
    "a short key": ({"sec_websocket_key": "c2hvcnQ="}, 400),
    "a key that is none": ({"sec_websocket_key": "!"}, 400),
    "no version": ({"sec_websocket_version": None}, 400),
    "an old version": ({"sec_websocket_version": "8"}, 400),
    "lower case": ({"upgrade": "WebSocket", "connection": "keep-alive, upgrade"}, 101),
}


@pytest.mark.parametrize("name", UPGRADES)
async def test_what_is_no_upgrade_is_told_so(home, name):
    changes, expected = UPGRADES[name]
    async with listening(home) as daemon:
        assert await status(daemon, **changes) == expected


@pytest.mark.parametrize(
    "name", ["Upgrade", "Authorization", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Connection"]
)
async def test_a_header_that_stands_twice_is_no_bug_of_the_daemons(home, name):
    """Before the token is looked at, anybody can send it: nothing may be raised by it."""
    async with listening(home) as daemon:
        found = await status(daemon, more=[(name, "websocket")])
        assert found in {400, 401, 426} | ({101} if name == "Connection" else set())


GARBAGE = {
    "a POST": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    "a POST with a call": b'POST / HTTP/1.1\r\n\r\n{"jsonrpc":"2.0","id":1,"method":"ping"}\n',
    "a PUT": b"PUT / HTTP/1.1\r\n\r\n",
    "an OPTIONS": b"OPTIONS / HTTP/1.1\r\nOrigin: http://evil.example\r\n\r\n",
    "HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
    "a line of JSON": b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}\n',
    "framed JSON": b"Content-Length: 2\r\n\r\n{}",
    "zeros": b"\0" * 100 + b"\n",
    "a header without a name": b"GET / HTTP/1.1\r\n: x\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n",
    "a body": b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    "chunks": b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_what_is_no_request_of_ours_is_closed_and_nothing_runs(home, name):
    async with listening(home) as daemon:
        link, response = await ask(port_of(daemon), GARBAGE[name])
        if response is not None:
            assert 400 <= response.status < 500
            await refused_plainly(link, response)
        link.close()
        owner = await daemon.person("owner")
        net = (await owner.call("daemon/status"))["net"]
        assert (net["requests"], net["unauthenticated"]) == (2, 0)


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 4, None])
async def test_a_first_message_may_come_right_behind_the_request(home, cut):
    """In one packet, or in two that part anywhere around the request's end."""
    async with listening(home) as daemon:
        port = port_of(daemon)
        headers = upgrade_headers(port, authorization=f"Bearer {daemon.record['token']}")
        request = request_bytes(headers)
        first = {"jsonrpc": "2.0", "id": 1, "method": "initialize"}
        first["params"] = {"protocol": "holdfast", "versions": [1], "client": {"id": "hasty"}}
        data = request + frame_bytes(TEXT, json.dumps(first).encode())
        link = connect_tcp("127.0.0.1", port)
        if cut is not None:
            at = len(request) - cut
            await link.write(data[:at])
            await until_unauthenticated(await daemon.person("owner"), 1)
            data = data[at:]
        await link.write(data)
        response = await read_response(link)
        assert response.status == 101
        channel = WebSocketChannel(link, response.rest)
        while not channel.bodies:
            await channel.receive()
        assert json.loads(channel.bodies[0])["result"]["role"] == "controller"
        link.close()


async def test_a_role_comes_with_the_token_of_the_upgrade(home):
    async with listening(home) as daemon:
        owner = await daemon.person("owner")
        for role in ("observer", "approver", "controller"):
            token = (await owner.call("token/create", name="x", role=role))["token"]
            person = Person(await open_websocket(port_of(daemon), token), "page")
            assert (await person.enter(None))["role"] == role
            person.close()


async def test_a_revoked_token_upgrades_no_more(home):
    async with listening(home) as daemon:
        owner = await daemon.person("owner")
        made = await owner.call("token/create", name="x", role="controller")
        bearer = f"Bearer {made['token']}"
        assert await status(daemon, authorization=bearer) == 101
        await owner.call("token/revoke", tokenId=made["info"]["tokenId"])
        assert await status(daemon, authorization=bearer) == 401


# Before the token -------------------------------------------------------------------------------------------


def knock(daemon):
    return connect_tcp("127.0.0.1", port_of(daemon))


async def unauthenticated(person):
    return (await person.call("daemon/status"))["net"]["unauthenticated"]


async def until_unauthenticated(person, count):
    while await unauthenticated(person) != count:
        pass


async def test_who_has_not_authenticated_has_few_slots_and_gives_them_back(home):
    limits = NetLimits(unauthenticated_max=4, handshake_timeout_s=30)
    async with listening(home, net=limits) as daemon:
        owner = await daemon.person("owner")
        waiting = [knock(daemon) for _ in range(4)]
        await until_unauthenticated(owner, 4)
        refused = knock(daemon)
        assert await refused.read() == b"", "closed without a word"
        assert await status(daemon) is None
        assert (await owner.call("daemon/status"))["net"]["refused"] == 2
        waiting.pop().close()
        await until_unauthenticated(owner, 3)
        page = Person(await open_websocket(port_of(daemon), daemon.record["token"]), "page")
        await page.enter(None)
        assert await unauthenticated(owner) == 3
        for link in (*waiting, refused):
            link.close()
        await until_unauthenticated(owner, 0)
        page.close()


async def test_a_websocket_that_never_initializes_keeps_its_slot_and_loses_it_in_time(home):
    limits = NetLimits(unauthenticated_max=2, handshake_timeout_s=0.5)
    async with listening(home, net=limits) as daemon:
        owner = await daemon.person("owner")
        idle = await open_websocket(port_of(daemon), daemon.record["token"])
        assert await unauthenticated(owner) == 1
        assert await idle.closed() is None, "cut, not said goodbye to"
        await until_unauthenticated(owner, 0)
        idle.close()


async def test_the_handshake_has_a_deadline_that_nothing_extends(home):
    limits = NetLimits(handshake_timeout_s=0.5)
    async with listening(home, net=limits) as daemon:
        owner = await daemon.person("owner")
        silent, dripping = knock(daemon), knock(daemon)
        request = request_bytes(upgrade_headers(port_of(daemon), authorization="Bearer x"))
        await dripping.write(request[:20])
        await until_unauthenticated(owner, 2)
        await dripping.write(request[20:40])
        for link in (silent, dripping):
            assert await link.read() == b""
            link.close()
        await until_unauthenticated(owner, 0)


async def test_a_request_has_an_end_before_16_kib(home):
    async with listening(home) as daemon:
        link = knock(daemon)
        await link.write(
            b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 900) for n in range(20))
        )
        assert await link.read() == b""
        link.close()


async def test_wrong_tokens_are_slowed_down_and_the_right_one_is_let_in_all_the_same(home):
    async with listening(home, net=NetLimits(auth_failures_max=3)) as daemon:
        for _ in range(10):
            assert await status(daemon, authorization="Bearer wrong") == 401
        assert await status(daemon) == 101


async def test_the_websocket_is_off_until_it_is_asked_for(home):
    async with resident(home) as daemon:
        assert daemon.record["ws"] is None
        owner = await daemon.person("owner")
        assert [name for name in (await owner.call("daemon/status"))["endpoints"] if "ws" in name] == []


async def test_the_record_and_the_status_name_the_endpoint(home):
    async with listening(home) as daemon:
        assert daemon.record["ws"][0] == "127.0.0.1"
        owner = await daemon.person("owner")
        assert f"ws://127.0.0.1:{port_of(daemon)}/" in (await owner.call("daemon/status"))["endpoints"]
