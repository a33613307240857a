"""A token decides what a connection may do, and ends what it could do when it is revoked (T3, T4, T5)."""

from contextlib import suppress

import anyio
import pytest
from interaction_world import Killable, resident, within
from person import calling, script, shell, text_content

from fakes.links import LinkClosed
from fakes.raw_client import ConnectionClosed, Refused
from holdfast_daemon import stored_tokens
from holdfast_daemon.journal.sqlite import SQLiteStore
from holdfast_daemon.journal.store import StoreError
from holdfast_protocol.capabilities import ROLES
from holdfast_protocol.methods import CALLS

ASKING = script(calling(shell("echo x >> ran")), {"text": "done"})


async def token_of(owner, role, name="guest"):
    return await owner.call("token/create", name=name, role=role)


async def refusal(person, method, params):
    """Give the kind of a call's error, or None."""
    request = person.request(method, params)
    await person.send(request)
    answer = await person.answer(request["id"])
    return answer["error"]["data"]["kind"] if "error" in answer else None


async def closed(person):
    """Wait until the daemon has closed a connection."""
    with pytest.raises(ConnectionClosed):
        await person.hear(lambda: False)


# Roles ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
async def test_every_method_is_forbidden_exactly_where_the_table_says(home, role):
    """Params are a list, which no method takes: whoever may call learns that, and nothing is done."""
    async with resident(home) as daemon:
        owner = await daemon.person("owner")
        token = (await token_of(owner, role))["token"]
        guest = await daemon.person("guest", token=token)
        assert guest.role == role
        methods = [name for name in CALLS if name != "initialize"]
        found = {name: await refusal(guest, name, []) for name in methods}
        assert found == {
            name: "forbidden" if ROLES.index(role) < ROLES.index(CALLS[name].role) else "invalid_params"
            for name in methods
        }
        assert len(found) > 30


async def test_the_owners_token_may_call_everything(home):
    async with resident(home) as daemon:
        owner = await daemon.person("owner")
        assert owner.role == "controller"
        for name in CALLS:
            if name != "initialize":
                assert await refusal(owner, name, []) == "invalid_params"


MUTATIONS = {
    "session/create": {"cwd": "/"},
    "session/prompt": {"content": text_content("say no")},
    "session/update": {"title": "mine"},
    "session/cancel": {},
    "session/continue": {},
    "session/close": {},
    "session/delete": {},
    "session/fork": {},
    "queue/update": {"promptId": "waiting", "position": 1},
    "queue/remove": {"promptId": "waiting"},
    "tool/register": {"tools": []},
    "tool/output": {"toolCallId": "r1-m1-t1", "text": "x"},
    "tool/complete": {"toolCallId": "r1-m1-t1", "result": []},
    "rule/remove": {"ruleId": "rule-1"},
    "daemon/drain": {},
    "daemon/shutdown": {},
    "token/create": {"name": "mine", "role": "controller"},
    "token/list": {},
    "token/revoke": {"tokenId": "owner"},
}


@pytest.mark.parametrize("role", ["observer", "approver"])
async def test_a_low_role_changes_nothing_of_a_session_that_waits(home, role):
    async with resident(home) as daemon:
        owner = await daemon.person("owner")
        session = await owner.begin(home.work)
        await owner.prompt(session, ASKING)
        asked = await owner.event("request_opened")
        await owner.prompt(session, "say later", promptId="waiting")
        guest = await daemon.person("guest", token=(await token_of(owner, role))["token"])
        await guest.follow(session)
        before = await owner.log(session)
        params = {name: more | {"sessionId": session} for name, more in MUTATIONS.items()}
        if role == "observer":
            params["request/respond"] = guest.answering(asked, "allow")
        for name, given in params.items():
            assert await refusal(guest, name, given) == "forbidden", name
        assert await owner.log(session) == before
        assert (await owner.call("daemon/status"))["state"] == "serving"
        assert [info["name"] for info in (await owner.call("token/list"))["tokens"]] == ["guest"]


async def test_an_observer_sees_everything_and_an_approver_answers(home):
    async with resident(home) as daemon:
        owner = await daemon.person("owner")
        session = await owner.begin(home.work)
        watcher = await daemon.person("watcher", token=(await token_of(owner, "observer"))["token"])
        approver = await daemon.person("approver", token=(await token_of(owner, "approver"))["token"])
        for person in (watcher, approver):
            await person.follow(session)
        await owner.prompt(session, ASKING)
        asked = await watcher.event("request_opened")
        assert await watcher.open_requests(session) == [asked["requestId"]]
        result = await approver.answer_request(asked, "allow")
        assert (result["accepted"], result["by"]) == (True, "approver")
        assert (await watcher.event("request_resolved"))["by"] == "approver"
        await watcher.end()
        await owner.end()
        assert watcher.events == owner.events
        assert (home.work / "ran").exists()


async def test_a_client_cannot_say_that_it_is_more_than_its_token(home):
    async with resident(home) as daemon:
        owner = await daemon.person("owner")
        token = (await token_of(owner, "observer"))["token"]
        liar = daemon.connect("liar")
        result = await liar.call(
            "initialize",
            protocol="holdfast",
            versions=[1],
            client={"id": "liar", "role": "controller"},
            role="controller",
            token=token,
            capabilities={"answers": ["permission"], "role": "controller"},
        )
        assert result["role"] == "observer"
        assert await refusal(liar, "session/create", {"cwd": "/", "role": "controller"}) == "forbidden"


async def test_initializing_a_second_time_raises_no_role(home):
    async with resident(home) as daemon:
        owner = await daemon.person("owner")
        guest = await daemon.person("guest", token=(await token_of(owner, "observer"))["token"])
        with pytest.raises(Refused):
            await guest.enter(daemon.record["token"])
        with pytest.raises((Refused, ConnectionClosed)):
            await guest.create(home.work)
        assert (await owner.call("session/list"))["sessions"] == []


async def test_only_a_controller_may_hold_a_session_up(home):
    async with resident(home) as daemon:
        owner = await daemon.person("owner")
        session = await owner.create(home.work)
        for role, kind in (("observer", "forbidden"), ("approver", "forbidden"), ("controller", None)):
            guest = await daemon.person("guest", token=(await token_of(owner, role))["token"])
            assert await refusal(guest, "session/subscribe", {"sessionId": session, "onLag": "block"}) == kind
            guest.close()


# Tokens ---------------------------------------------------------------------------------------------------


async def test_a_token_is_shown_once_and_the_owners_never(home):
    async with resident(home) as daemon:
        owner = await daemon.person("owner")
        made = [await token_of(owner, role, f"my {role}") for role in ROLES]
        listed = (await owner.call("token/list"))["tokens"]
        assert listed == [item["info"] for item in made]
        assert [(info["name"], info["role"]) for info in listed] == [(f"my {role}", role) for role in ROLES]
        assert all(info.keys() == {"tokenId", "name", "role", "createdAt"} for info in listed)
        secrets = [item["token"] for item in made]
        assert len({*secrets, daemon.record["token"]}) == 4
        assert all(len(secret) == 43 for secret in secrets), "32 bytes in base64url"


async def test_no_secret_is_stored(home):
    async with resident(home) as daemon:
        owner = await daemon.person("owner")
        secret = (await token_of(owner, "approver"))["token"]
        files = [path for path in home.state.iterdir() if path.is_file()]
        assert any(path.name.startswith("journal.db") for path in files)
        assert [path.name for path in files if secret.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("how", [{}, {"over": "tcp"}, {"framing": "headers"}])
async def test_revoking_a_token_closes_its_connections_and_lets_nobody_in_again(home, how):
    async with resident(home) as daemon:
        owner = await daemon.person("owner")
        made = await token_of(owner, "controller")
        other = await token_of(owner, "controller", "other")
        guests = [await daemon.person(f"guest{n}", token=made["token"], **how) for n in range(3)]
        bystander = await daemon.person("bystander", token=other["token"], **how)
        session = await guests[0].begin(home.work)
        result = await owner.call("token/revoke", tokenId=made["info"]["tokenId"])
        assert result == {"revoked": True, "connections": 3}
        with anyio.fail_after(1):
            for guest in guests:
                await closed(guest)
        with pytest.raises(Refused) as refused:
            await daemon.person("guest", token=made["token"], **how)
        assert refused.value.error["data"]["kind"] == "auth_required"
        assert (await bystander.call("session/get", sessionId=session))["session"]["sessionId"] == session
        listed = (await owner.call("token/list"))["tokens"]
        assert [info["tokenId"] for info in listed] == [other["info"]["tokenId"]]


async def test_what_a_revoked_client_began_goes_on(home):
    """Its connections end, not its work: that is the session's."""
    async with resident(home) as daemon:
        owner = await daemon.person("owner")
        made = await token_of(owner, "controller")
        guest = await daemon.person("guest", token=made["token"])
        session = await guest.begin(home.work)
        await guest.prompt(session, ASKING)
        asked = await guest.event("request_opened")
        await owner.call("token/revoke", tokenId=made["info"]["tokenId"])
        await closed(guest)
        await owner.follow(session)
        assert (await owner.answer_request(asked, "allow"))["accepted"]
        assert (await owner.end())["type"] == "run_completed"


async def test_an_answer_that_comes_after_the_revocation_counts_for_nothing(home):
    async with resident(home) as daemon:
        owner = await daemon.person("owner")
        made = await token_of(owner, "approver")
        guest = await daemon.person("guest", token=made["token"])
        session = await owner.begin(home.work)
        await guest.follow(session)
        await owner.prompt(session, ASKING)
        asked = await guest.event("request_opened")
        await owner.call("token/revoke", tokenId=made["info"]["tokenId"])
        with suppress(LinkClosed):
            await guest.send(guest.request("request/respond", guest.answering(asked, "allow")))
        await closed(guest)
        assert await owner.open_requests(session) == [asked["requestId"]]
        await owner.answer_request(asked, "deny")
        await owner.end()
        assert not (home.work / "ran").exists()


async def test_a_client_that_revokes_its_own_token_is_out(home):
    async with resident(home) as daemon:
        owner = await daemon.person("owner")
        made = await token_of(owner, "controller")
        guest = await daemon.person("guest", token=made["token"])
        await guest.send(guest.request("token/revoke", {"tokenId": made["info"]["tokenId"]}))
        with anyio.fail_after(1):
            await closed(guest)
        assert (await owner.call("token/list"))["tokens"] == []


@pytest.mark.parametrize("token_id", ["owner", "token-000000000000", "guest"])
async def test_what_is_no_token_cannot_be_revoked(home, token_id):
    async with resident(home) as daemon:
        owner = await daemon.person("owner")
        await token_of(owner, "observer")
        result = await owner.call("token/revoke", tokenId=token_id)
        assert result == {"revoked": False, "connections": 0}
        assert len((await owner.call("token/list"))["tokens"]) == 1
        assert (await daemon.person("again")).role == "controller"


async def test_tokens_survive_a_kill_and_revoked_ones_stay_revoked(home):
    with Killable(home) as daemon, within():
        await daemon.start()
        owner = await daemon.person("owner")
        kept = [await token_of(owner, role, role) for role in ROLES]
        gone = await token_of(owner, "controller", "gone")
        assert (await owner.call("token/revoke", tokenId=gone["info"]["tokenId"]))["revoked"]
        owner_token = daemon.record["token"]
        await daemon.restart()
        assert daemon.record["token"] == owner_token, "editors reconnect"
        for made in kept:
            guest = await daemon.person("guest", token=made["token"])
            assert guest.role == made["info"]["role"]
        with pytest.raises(Refused) as refused:
            await daemon.person("guest", token=gone["token"])
        assert refused.value.error["data"]["kind"] == "auth_required"
        owner = await daemon.person("owner")
        listed = (await owner.call("token/list"))["tokens"]
        assert listed == [made["info"] for made in kept]


async def test_there_is_a_limit_to_tokens_that_says_its_name(home, monkeypatch):
    monkeypatch.setattr(stored_tokens, "TOKENS_MAX", 3)
    async with resident(home) as daemon:
        owner = await daemon.person("owner")
        made = [await token_of(owner, "observer") for _ in range(3)]
        with pytest.raises(Refused) as refused:
            await token_of(owner, "observer")
        data = refused.value.error["data"]
        assert (data["kind"], data["limit"], data["limitValue"]) == ("overloaded", "tokens_max", 3)
        await owner.call("token/revoke", tokenId=made[0]["info"]["tokenId"])
        await token_of(owner, "observer")


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"name": "x", "role": "root"}, "$.role"),
        ({"name": "", "role": "observer"}, "$.name"),
        ({"name": "x" * 129, "role": "observer"}, "$.name"),
        ({"name": "x"}, "$"),
    ],
)
async def test_a_token_needs_a_name_and_a_role_there_is(home, params, path):
    async with resident(home) as daemon:
        owner = await daemon.person("owner")
        with pytest.raises(Refused) as refused:
            await owner.call("token/create", **params)
        assert refused.value.error["data"]["kind"] == "invalid_params"
        assert refused.value.error["data"]["path"] == path


async def test_the_owners_token_and_the_record_are_not_for_tools(home):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        session = await ann.begin(home.path, mode="accept_edits")
        token = str((home.state / "token").relative_to(home.path))
        record = str((home.runtime / "daemon-v1.json").relative_to(home.path))
        calls = calling(("read", {"path": token}), ("write", {"path": record, "content": "x"}))
        await ann.prompt(session, script(calls, {"text": "done"}))
        failed = [await ann.event("tool_call_failed") for _ in range(2)]
        assert {event["error"]["kind"] for event in failed} == {"outside_roots"}
        assert (await ann.end())["type"] == "run_completed"


async def test_a_token_whose_end_the_disk_refused_is_out_and_can_be_ended_again(home, monkeypatch):
    async with resident(home) as daemon:
        ann = await daemon.person("ann")
        made = await ann.call("token/create", name="lost phone", role="controller")
        token_id = made["info"]["tokenId"]
        with monkeypatch.context() as patch:

            def refuse(_store, _token):
                raise StoreError("disk_full", "No space.")

            patch.setattr(SQLiteStore, "remove_token", refuse)
            with pytest.raises(Refused):
                await ann.call("token/revoke", tokenId=token_id)
        assert (await ann.call("token/list"))["tokens"] == []
        with pytest.raises(Refused):
            await daemon.person("thief", token=made["token"])
        assert (await ann.call("token/revoke", tokenId=token_id))["revoked"]
        assert not (await ann.call("token/revoke", tokenId=token_id))["revoked"]
    async with resident(home) as daemon:
        with pytest.raises(Refused):
            await daemon.person("thief", token=made["token"])
