"""Raw notifications (design 4: server to client are notifications only)."""

import anyio
import msgspec
import pytest
from library_world import WAIT_S, client_of, daemon_in

from fakes.daemons import Home
from holdfast_client.aio.notifications import BUFFER_BYTES_MAX, NotificationStream, Notified
from holdfast_client.errors import NotificationsLost
from holdfast_protocol.methods.session import SessionsChangedParams

pytestmark = pytest.mark.timeout(120)


def notified(number: int, size: int = 0) -> Notified:
    return Notified("m", msgspec.Raw(msgspec.json.encode([number, "x" * size])))


async def test_everything_the_daemon_sends_can_be_had_as_it_came(home: Home):
    async with daemon_in(home), client_of(home) as client:
        stream = client.notifications()
        made = await client.call("session/create", {"cwd": str(home.work)})
        session_id = made["sessionId"]
        subscribed = await client.call("session/subscribe", {"sessionId": session_id, "after": "start"})
        await client.call(
            "session/prompt", {"sessionId": session_id, "content": [{"type": "text", "text": "say hi"}]}
        )
        seqs, methods = [], []
        with anyio.fail_after(WAIT_S):
            while not seqs or seqs[-1][1] != "run_completed":
                notification = await anext(stream)
                methods.append(notification.method)
                if notification.method == "session/events":
                    params = notification.params
                    assert params["from"] == (seqs[-1][0] if seqs else 0) + 1
                    seqs += [(event["seq"], event["type"]) for event in params["events"]]
        assert subscribed["from"] == 1
        assert [seq for seq, _ in seqs] == list(range(1, len(seqs) + 1))
        assert {"sessions/changed", "session/events", "session/caughtUp"} <= set(methods)


async def test_only_some_methods_can_be_asked_for_and_decoded(home: Home):
    async with daemon_in(home), client_of(home) as client:
        stream = client.notifications("sessions/changed")
        session = await client.create_session(str(home.work))
        with anyio.fail_after(WAIT_S):
            notification = await anext(stream)
        changed = notification.decoded()
        assert isinstance(changed, SessionsChangedParams)
        assert (changed.change, changed.session_id) == ("created", session.id)


async def test_what_comes_too_fast_is_dropped_and_told_once():
    stream = NotificationStream(())
    size = BUFFER_BYTES_MAX // 4
    for number in range(9):
        stream.put(notified(number, size))
    assert [stream.receive_nowait().params[0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(NotificationsLost) as caught:
        stream.receive_nowait()
    assert caught.value.count == 6
    stream.put(notified(9))
    assert (await anext(stream)).params[0] == 9


async def test_a_reader_is_woken_by_what_it_waits_for():
    stream, got = NotificationStream(("m",)), []

    async def read() -> None:
        got.extend([item.params[0] async for item in stream])

    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            stream.put(Notified("other", msgspec.Raw(b"[0]")))
            stream.put(notified(1))
            await anyio.wait_all_tasks_blocked()
            stream.put(notified(2))
            stream.close()
    assert got == [1, 2]


async def test_several_at_once_come_in_order():
    stream = NotificationStream(())
    for number in range(5):
        stream.put(notified(number))
    assert [item.params[0] for item in await stream.receive_some(3)] == [0, 1, 2]
    assert [item.params[0] for item in await stream.receive_some()] == [3, 4]
