"""Finding servers on this machine, and looking at providers: bounded, free, and without showing a key."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
import pytest
from vendor_models import KEY, completed, step

from fakes.vendors.script import Cut, Reply
from fakes.vendors.server import VendorServer
from holdfast_daemon.models.check import ProviderCheck, check_providers
from holdfast_daemon.models.detect import detect_local
from holdfast_daemon.models.listing import BODY_BYTES_MAX, MODELS_MAX
from holdfast_daemon.models.provider_model import ProviderModel
from holdfast_daemon.models.providers import PROVIDERS, entry
from holdfast_daemon.models.sdk import Sdks

LOCAL = [name for name, provider in PROVIDERS.items() if provider.local]
REMOTE = [name for name, provider in PROVIDERS.items() if not provider.local]
NOBODY = "http://127.0.0.1:1/v1"
NOBODY_LOCAL = dict.fromkeys(LOCAL, NOBODY)
WAIT_S = 10


def _list(*ids: str, **members: Any) -> Reply:
    return Reply(body=json.dumps({"object": "list", "data": [{"id": name, **members} for name in ids]}))


@asynccontextmanager
async def _serving(reply: Reply) -> AsyncIterator[tuple[VendorServer, dict[str, str]]]:
    """Give a server, and base URLs by which it is all local servers but the first; there, nobody is."""
    async with VendorServer((reply,)).running() as server:
        with anyio.fail_after(WAIT_S):
            yield server, {**dict.fromkeys(LOCAL, f"{server.url}/v1"), LOCAL[0]: NOBODY}


async def test_each_server_there_is_gives_its_models_and_its_windows() -> None:
    async with _serving(_list("qwen4:8b", "org/model-7B", max_model_len=32768)) as (server, urls):
        found = await detect_local(urls)
    assert [(model.target.provider.name, model.target.id) for model in found] == [
        (name, model) for name in LOCAL[1:] for model in ("qwen4:8b", "org/model-7B")
    ]
    assert {model.context_tokens for model in found} == {32768}
    assert {request.path for request in server.requests} == {"/v1/models"}
    assert all("authorization" not in request.headers for request in server.requests)


async def test_what_was_found_can_be_talked_to() -> None:
    async with VendorServer((_list("m"), Reply())).running() as server:
        [known] = await detect_local({**NOBODY_LOCAL, "ollama": f"{server.url}/v1"})
        sdks = Sdks()
        model = entry(known, sdks).make()
        assert isinstance(model, ProviderModel)
        last = completed(await step(model))
        await sdks.aclose()
    assert model.info.name == "ollama/m"
    assert last.cost is not None
    assert last.cost.amount == 0


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=404, body="{}"),
        Reply(status=302, headers={"location": "http://127.0.0.1:9/v1/models"}, body=""),
        Reply(body="<html>"),
        Reply(body='{"data": 1}'),
        Reply(body='{"models": []}'),
        Reply(raw="SSH-2.0\r\n"),
        Reply(body=" " * (BODY_BYTES_MAX + 1) + '{"data": [{"id": "m"}]}'),
        Reply(headers={"content-encoding": "gzip"}, body="x"),
        Reply(delay_s=60),
        Reply(body='{"data": [{"id": "m"}]}', ends="hang"),
    ],
    ids=["404", "redirect", "html", "no list", "another", "no http", "large", "gzip", "silent", "hangs"],
)
async def test_who_gives_no_list_of_models_is_not_there(reply: Reply) -> None:
    async with _serving(reply) as (_server, urls):
        assert await detect_local(urls, timeout_s=0.2) == ()


async def test_servers_that_do_not_answer_are_waited_for_together() -> None:
    async with _serving(Reply(delay_s=60)) as (server, urls), anyio.create_task_group() as group:
        group.start_soon(detect_local, urls)
        while len(server.requests) < len(LOCAL) - 1:
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()


async def test_models_beyond_the_bound_and_those_that_do_not_talk_are_left_out() -> None:
    names = [f"m{number}" for number in range(MODELS_MAX + 5)]
    async with _serving(_list("nomic-embed-text", "bad name", "", *names)) as (_server, urls):
        found = [
            model.target.id for model in await detect_local(urls) if model.target.provider.name == "vllm"
        ]
    assert found == names[: MODELS_MAX - 1]  # The first of those counted does not talk.


async def test_nobody_but_this_machine_is_asked() -> None:
    urls = {"ollama": "https://ollama.example/v1", "vllm": "http://10.0.0.1/v1", "lmstudio": "file:///x"}
    with anyio.fail_after(WAIT_S):
        assert await detect_local({**NOBODY_LOCAL, **urls}) == ()


# Check ------------------------------------------------------------------------------------------------


async def _checked(
    reply: Reply, *, online: bool, environ: dict[str, str] | None = None
) -> tuple[dict[str, ProviderCheck], VendorServer]:
    """Check all providers with one server for those that are not on this machine."""
    keys = {provider.key_variable: KEY for provider in PROVIDERS.values() if provider.key_variable}
    async with VendorServer((reply,)).running() as server:
        urls = {**NOBODY_LOCAL, **dict.fromkeys(REMOTE, f"{server.url}/v1"), "anthropic": server.url}
        with anyio.fail_after(WAIT_S):
            checks = await check_providers(
                keys if environ is None else environ, urls, online=online, timeout_s=0.5
            )
    assert [check.provider for check in checks] == list(PROVIDERS)
    assert KEY[:8] not in msgspec.json.encode(checks).decode()
    return {check.provider: check for check in checks}, server


async def test_a_good_key_is_told_by_the_list_of_models() -> None:
    checks, server = await _checked(_list("a", "b"), online=True)
    assert {checks[name].state for name in REMOTE} == {"answers"}
    assert {checks[name].models for name in REMOTE} == {2}
    assert len(server.requests) == len(REMOTE)
    assert {request.path.partition("?")[0] for request in server.requests} == {"/v1/models"}
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {KEY}"}
    assert sum("anthropic-version" in request.headers for request in server.requests) == 1


async def test_without_online_nobody_elsewhere_is_asked() -> None:
    checks, server = await _checked(_list("a"), online=False)
    assert {checks[name].state for name in REMOTE} == {"key_set"}
    assert server.requests == []


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=401, body=json.dumps({"error": {"message": f"Bad key {KEY}", "type": "x"}})), "auth"),
        (Reply(status=402, body="{}"), "billing"),
        (Reply(status=403, body="{}"), "permission"),
        (Reply(status=429, body="{}"), "rate_limited"),
        (Reply(status=529, body="{}"), "overloaded"),
        (Reply(status=302, headers={"location": "http://127.0.0.1:9"}, body=""), "garbage"),
        (Reply(body="<html>"), "garbage"),
        (Reply(body="{", cut=Cut(bytes=1)), "transport"),
        (Reply(delay_s=60), "timeout"),
    ],
    ids=["401", "402", "403", "429", "529", "redirect", "html", "cut", "silent"],
)
async def test_what_fails_is_told_by_its_kind_and_shows_no_key(reply: Reply, kind: str) -> None:
    checks, _server = await _checked(reply, online=True)
    for name in REMOTE:
        check = checks[name]
        assert check.error is not None
        assert (check.state, check.error.kind, check.message) == ("fails", kind, check.error.message)


async def test_a_key_that_is_missing_or_cannot_be_sent_is_told_by_its_variable() -> None:
    environ = {"OPENAI_API_KEY": "  ", "DEEPSEEK_API_KEY": f"{KEY}\nx", "MOONSHOT_API_KEY": f"{KEY}é"}
    checks, server = await _checked(_list("a"), online=True, environ=environ)
    states = {name: checks[name].state for name in REMOTE}
    assert states == {
        "anthropic": "no_key",
        "openai": "no_key",
        "deepseek": "unfit_key",
        "moonshot": "unfit_key",
    }
    assert all(checks[name].key_variable in checks[name].message.split() for name in REMOTE)
    assert server.requests == []


async def test_a_key_of_somebody_else_is_told_where_it_would_go_to_the_provider_itself() -> None:
    with anyio.fail_after(WAIT_S):
        checks = await check_providers({"ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": KEY}, NOBODY_LOCAL)
    states = {check.provider: check.state for check in checks}
    assert (states["anthropic"], states["openai"]) == ("unfit_key", "key_set")
    assert KEY[:8] not in msgspec.json.encode(checks).decode()


async def test_servers_on_this_machine_are_asked_also_without_online() -> None:
    async with _serving(_list("a")) as (_server, urls):
        checks = await check_providers({}, {**urls, "vllm": "https://vllm.example/v1", "lmstudio": "ftp://x"})
    states = {check.provider: check.state for check in checks if check.provider in LOCAL}
    assert states == {"ollama": "absent", "lmstudio": "fails", "llamacpp": "answers", "vllm": "not_asked"}
