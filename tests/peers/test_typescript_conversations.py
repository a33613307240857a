"""The TypeScript client has the conversations the Python libraries have: the same files, the same runner.

See `client_conversations`. The relay is compiled as a program of somebody else would be.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typescript_client import BUILT, CLIENT, run

from client_conversations.excluded import is_had
from client_conversations.library_world import LibraryWorld
from client_conversations.relays import RelayProcess
from conversations.conversation import Conversation, conversation_files, load
from conversations.runner import have
from fakes.home import Home

RELAY = Path(__file__).parent.parent / "client_conversations" / "relay.mts"
OPTIONS = ("--strict", "--target", "es2022", "--module", "nodenext", "--types", "node")


@pytest.fixture(scope="module")
def relay(built: Path) -> Iterator[RelayProcess]:
    assert built.is_dir()
    node = shutil.which("node")
    assert node, "node is not installed"
    program = BUILT / "programs" / RELAY.name
    program.parent.mkdir(exist_ok=True)
    program.write_text(RELAY.read_text(encoding="utf-8"), encoding="utf-8")
    tsc = str(CLIENT / "node_modules" / ".bin" / "tsc")
    compiled = run(tsc, "--ignoreConfig", *OPTIONS, str(program))
    assert (compiled.returncode, compiled.stdout) == (0, "")
    with RelayProcess([node, str(program.with_suffix(".mjs"))]) as process:
        yield process


def _cases() -> Iterator[Any]:
    for path in conversation_files():
        if is_had(path.stem, "typescript"):
            yield pytest.param(load(path), id=path.stem)


@pytest.mark.parametrize("conversation", list(_cases()))
async def test_a_conversation_goes_with_the_typescript_client_as_its_file_says(
    conversation: Conversation, relay: RelayProcess, home: Home
) -> None:
    await have(conversation, home, lambda daemon: LibraryWorld(relay, home, daemon))
