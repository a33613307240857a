"""Prompts of MCP servers as slash commands: listed, filled in, bounded."""

import pytest

from holdfast_daemon.extensions import mcp_commands
from holdfast_daemon.extensions.mcp_commands import commands_of_servers
from holdfast_daemon.extensions.mcp_values import McpFailure, Offer, RemotePrompt
from holdfast_daemon.extensions.slash_commands import COMMANDS_MAX, CommandFailure
from holdfast_protocol.content import ImageBlock, TextBlock

MADE = (TextBlock(text="made"),)


class FakeServer:
    """A server that keeps what its prompts were asked with."""

    def __init__(self, *prompts, name="files", answer=MADE):
        self.name = name
        self.offer = Offer(prompts=prompts)
        self.asked = []
        self._answer = answer

    async def prompt(self, name, arguments):
        self.asked.append((name, arguments))
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def command(server):
    (found,) = commands_of_servers([server])
    return found


EXPLAIN = RemotePrompt(
    name="explain", description="Explain\na file.", arguments=("path", "how", "for"), required=("path",)
)


def test_it_is_listed_with_its_server_and_its_arguments():
    found = command(FakeServer(EXPLAIN))
    assert (found.name, found.description) == ("files:explain", "Explain a file.")
    assert (found.source, found.origin, found.hint) == ("mcp", "MCP server files", "path [how] [for]")
    assert command(FakeServer(RemotePrompt(name="plain"))).hint is None


WORDS = {
    "one word": ("a.py", {"path": "a.py"}),
    "in order": ("a.py short me", {"path": "a.py", "how": "short", "for": "me"}),
    "the last takes the rest": ("a b c d e", {"path": "a", "how": "b", "for": "c d e"}),
    "by name": ("for=me path=a.py", {"for": "me", "path": "a.py"}),
    "by name and in order": ("how=short a.py you all", {"how": "short", "path": "a.py", "for": "you all"}),
    "quoted": ("'a b.py' how='very short'", {"path": "a b.py", "how": "very short"}),
    "an open quote": ("it's", {"path": "it's"}),
    "an unknown name is a word": ("x=1", {"path": "x=1"}),
}


@pytest.mark.parametrize(("words", "arguments"), WORDS.values(), ids=WORDS)
async def test_words_become_arguments(words, arguments):
    server = FakeServer(EXPLAIN)
    assert await command(server).content(words) == (TextBlock(text="made"),)
    assert server.asked == [("explain", arguments)]


async def test_what_cannot_be_filled_in_is_said_and_not_asked():
    server = FakeServer(EXPLAIN)
    with pytest.raises(
        CommandFailure, match=r"^/files:explain needs path: /files:explain path \[how\] \[for\]$"
    ):
        await command(server).content("")
    plain = FakeServer(RemotePrompt(name="plain"))
    with pytest.raises(CommandFailure, match=r"^/files:plain takes nothing like 'x'$"):
        await command(plain).content("x y")
    assert server.asked == plain.asked == []


async def test_a_server_that_fails_is_said():
    server = FakeServer(RemotePrompt(name="p"), answer=McpFailure("gone", lost=True))
    with pytest.raises(CommandFailure, match=r"^/files:p: gone$"):
        await command(server).content("")


async def test_a_server_that_does_not_answer_is_not_waited_for(monkeypatch):
    import anyio

    class Hanging(FakeServer):
        async def prompt(self, *_asked):
            await anyio.sleep_forever()

    monkeypatch.setattr(mcp_commands, "EXPANSION_TIMEOUT_S", 0.05)
    with pytest.raises(CommandFailure, match="did not answer within"):
        await command(Hanging(RemotePrompt(name="p"))).content("")


async def test_a_prompt_is_bounded_and_may_have_more_than_text():
    image = ImageBlock(mime_type="image/png", data="AAAA")
    assert await command(FakeServer(RemotePrompt(name="p"), answer=(image,))).content("") == (image,)
    empty = await command(FakeServer(RemotePrompt(name="p"), answer=())).content("")
    assert empty == (TextBlock(text="/files:p"),)
    large = FakeServer(RemotePrompt(name="p"), answer=(TextBlock(text="x" * 300_000),))
    with pytest.raises(CommandFailure, match="the limit is 262144"):
        await command(large).content("")


def test_names_are_single_words_and_counted():
    odd = FakeServer(
        RemotePrompt(name="say it\n/now"), RemotePrompt(name="say it ?now"), RemotePrompt(name="é" * 500)
    )
    names = [found.name for found in commands_of_servers([odd])]
    assert names == ["files:" + "_" * 128, "files:say_it__now"]
    many = FakeServer(*(RemotePrompt(name=f"p{n}") for n in range(COMMANDS_MAX + 5)))
    assert len(commands_of_servers([many])) == COMMANDS_MAX
