"""What the library does about a daemon that breaks the rules: nothing is lost in silence."""

import anyio
import pytest
from fake_daemon import EPOCH, UNANSWERED, client_of_fake, fake_daemon
from library_world import WAIT_S

from holdfast_client.errors import ConnectionLost, NoAnswer, VersionMismatch
from holdfast_protocol import events
from holdfast_protocol.errors import Busy, RemoteProtocolError

pytestmark = pytest.mark.timeout(120)


def notice(message: str = "x") -> events.Notice:
    return events.Notice(kind="test", message=message)


async def take(stream, count: int) -> list[int]:
    with anyio.fail_after(WAIT_S):
        return [(await anext(stream)).seq for _ in range(count)]


async def test_a_batch_that_leaves_a_gap_is_filled_from_the_log():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        daemon.append("s", notice())
        stream = client.session("s").events()
        assert await take(stream, 1) == [1]
        daemon.append("s", notice(), notice())
        await daemon.send_batch("s", 3, 3)
        assert await take(stream, 2) == [2, 3]
        await daemon.emit("s", notice())
        assert await take(stream, 1) == [4]
        assert len(daemon.calls("session/subscribe")) == 2


async def test_a_batch_that_comes_twice_is_given_once():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        daemon.append("s", notice())
        stream = client.session("s").events()
        assert await take(stream, 1) == [1]
        await daemon.emit("s", notice())
        await daemon.send_batch("s", 2, 2)
        await daemon.send_batch("s", 2, 2)
        await daemon.emit("s", notice())
        assert await take(stream, 2) == [2, 3]


async def test_a_gap_the_daemon_admits_is_filled_from_the_log():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        daemon.append("s", notice())
        stream = client.session("s").events()
        assert await take(stream, 1) == [1]
        daemon.append("s", notice(), notice())
        await daemon.notify(
            "session/gap", {"sessionId": "s", "epoch": EPOCH, "from": 2, "to": 3, "reason": "skipped"}
        )
        assert await take(stream, 2) == [2, 3]


async def test_a_batch_that_is_none_is_not_believed():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        daemon.append("s", notice())
        stream = client.session("s").events()
        assert await take(stream, 1) == [1]
        await daemon.notify("session/events", {"sessionId": "s"})
        await daemon.notify(
            "session/events", {"sessionId": "s", "epoch": EPOCH, "from": 2, "to": 2, "events": [7]}
        )
        daemon.append("s", notice())
        await daemon.emit("s", notice())
        assert await take(stream, 2) == [2, 3]
        assert client.statistics().connections == 1


async def test_a_page_that_is_not_what_was_asked_for_is_an_error():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        daemon.answers["session/read"] = lambda _params: {
            "epoch": EPOCH,
            "from": 5,
            "to": 5,
            "head": 5,
            "events": [],
            "more": False,
        }
        with pytest.raises(RemoteProtocolError):
            await take(client.session("s").events(), 1)


async def test_a_result_that_is_not_of_its_type_is_an_error():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        daemon.answers["model/list"] = lambda _params: {"models": 3}
        with pytest.raises(RemoteProtocolError, match="model/list"):
            await client.rpc.model_list()


async def test_members_and_events_of_a_newer_daemon_are_no_error():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        daemon.answers["ping"] = lambda _params: {"something": "new"}
        await client.rpc.ping()
        await daemon.notify("session/somethingNew", {"a": 1})
        daemon.logs["s"] = [{"type": "from_the_future", "seq": 1, "at": 1, "x": 2}]
        with anyio.fail_after(WAIT_S):
            event = await anext(client.session("s").events())
        assert event == events.UnknownEvent(type="from_the_future", seq=1, at=1)


@pytest.mark.parametrize(
    "garbage", [b"}\n", b"[]\n", b'{"jsonrpc":"2.0"}\n', b"\xff\xfe\n", b"[" * 100_000 + b"\n"]
)
async def test_what_is_no_message_ends_the_connection_and_another_is_made(garbage: bytes):
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        await daemon.send_bytes(garbage)
        with anyio.fail_after(WAIT_S):
            await daemon.received_enough("initialize", 2)
            await client.rpc.ping()
        assert client.statistics().connections == 2


async def test_a_call_that_is_never_answered_ends_in_time():
    async with fake_daemon() as daemon, client_of_fake(daemon, call_timeout_s=0.05) as client:
        daemon.answers["model/list"] = lambda _params: UNANSWERED
        with pytest.raises(NoAnswer) as caught:
            await client.rpc.model_list()
        assert (caught.value.method, caught.value.timeout_s) == ("model/list", 0.05)
        assert isinstance(caught.value, TimeoutError)


async def test_a_call_the_caller_leaves_is_cancelled_at_the_daemon():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        daemon.answers["session/wait"] = lambda _params: UNANSWERED
        with anyio.fail_after(WAIT_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.session("s").wait)
                await daemon.received_enough("session/wait")
                tasks.cancel_scope.cancel()
            await daemon.received_enough("$/cancelRequest")
        assert client.statistics().in_flight == 1  # Its place is free when the daemon has answered.


async def test_many_calls_at_once_wait_for_their_places():
    waiting = 0

    def count(_params):
        nonlocal waiting
        waiting += 1
        return UNANSWERED

    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        daemon.answers["session/wait"] = count
        with anyio.fail_after(WAIT_S):
            async with anyio.create_task_group() as tasks:
                for _ in range(200):
                    tasks.start_soon(client.session("s").wait)
                await daemon.received_enough("session/wait", 20)
                await client.rpc.ping()
                await client.rpc.session_get(session_id="s") if "s" in daemon.logs else None
                tasks.cancel_scope.cancel()
        assert waiting < 64


async def test_a_refusal_has_the_class_of_its_code():
    def busy(_params):
        raise Busy("Later.", resource="session")

    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        daemon.answers["session/prompt"] = busy
        with pytest.raises(Busy) as caught:
            await client.session("s").prompt("now", delivery="reject")
        assert caught.value.data.retryable


async def test_every_changing_call_carries_a_key():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        for method in ("session/prompt", "session/update", "request/respond"):
            daemon.answers[method] = lambda _params: {
                "promptId": "p",
                "status": "queued",
                "seq": 1,
                "accepted": True,
                "outcome": "allow",
                "by": "c",
            }
        session = client.session("s")
        await session.prompt("one")
        await session.prompt("two")
        await session.update(title="x")
        await session.respond("q1", "allow")
        ids = [params["promptId"] for params in daemon.calls("session/prompt")]
        assert len(set(ids)) == 2
        assert daemon.calls("session/update")[0]["key"]
        assert daemon.calls("request/respond")[0]["key"]


async def test_raw_calls_are_sent_as_they_are():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        daemon.answers["session/update"] = lambda params: {"seq": 4, "got": params}
        params = {"sessionId": "s", "title": "x", "unknown": [1, None]}
        assert await client.call("session/update", params) == {"seq": 4, "got": params}
        assert daemon.calls("session/update") == [params]


async def test_a_raw_notification_is_sent():
    async with fake_daemon() as daemon, client_of_fake(daemon) as client:
        await client.rpc.ping()
        await client.notify("$/cancelRequest", {"id": 99})
        with anyio.fail_after(WAIT_S):
            await daemon.received_enough("$/cancelRequest")
        assert daemon.calls("$/cancelRequest") == [{"id": 99}]


async def test_a_newer_daemon_after_a_reconnect_is_refused_if_it_is_not_what_is_asked_for():
    async with fake_daemon() as daemon, client_of_fake(daemon, require="holdfast<0.2") as client:
        daemon.version = "0.2.0"
        await daemon.send_bytes(b"}\n")
        with anyio.fail_after(WAIT_S):
            await daemon.received_enough("initialize", 2)
            with pytest.raises(VersionMismatch):
                await client.rpc.ping()


async def test_a_daemon_that_hangs_up_on_every_connection_is_given_up_in_time():
    async with (
        fake_daemon() as daemon,
        client_of_fake(daemon, give_up_s=0.2, call_timeout_s=WAIT_S) as client,
    ):

        def hang_up(_params):
            raise anyio.EndOfStream

        daemon.answers["initialize"] = hang_up
        await daemon.send_bytes(b"}\n")
        with anyio.fail_after(WAIT_S), pytest.raises(ConnectionLost):
            await client.rpc.model_list()


async def test_on_a_new_connection_tools_and_presence_come_before_what_is_sent_again():
    async def ping() -> str:
        """Ping."""
        return "pong"

    async with fake_daemon() as daemon, client_of_fake(daemon, answer=lambda _ask: "allow") as client:
        daemon.append("s", notice())
        daemon.answers["request/list"] = lambda _params: {"requests": []}
        daemon.answers["tool/register"] = lambda params: {"registered": len(params["tools"])}
        daemon.answers["session/prompt"] = lambda _params: UNANSWERED
        session = client.session("s")
        with anyio.fail_after(WAIT_S):
            await session.host_tools({"ping": ping})
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(session.prompt, "say hi")
                await daemon.received_enough("session/prompt")
                await daemon.send_bytes(b"}\n")
                await daemon.received_enough("session/prompt", 2)
                tasks.cancel_scope.cancel()
        methods = [method for method, _params in daemon.received]
        again = methods[methods.index("initialize", 1) :]
        assert again[:4] == ["initialize", "tool/register", "session/subscribe", "session/prompt"]
        first, second = daemon.calls("session/prompt")
        assert first == second
