"""Each client library has the conversations that raw bytes have with the daemon: same files, same runner."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client_conversations.excluded import EXCLUDED, LIBRARIES, TRAITS, has_trait, is_had
from client_conversations.library_world import LibraryWorld
from client_conversations.relays import RelayProcess
from conversations.conversation import Conversation, conversation_files, load
from conversations.runner import have
from fakes.home import Home

HERE = Path(__file__).parent
HAD_MIN = 25
"""With every library; so many at least make it the same suite."""

PROGRAMS = {"async": "relay_async.py", "blocking": "relay_blocking.py"}


@pytest.fixture(scope="session")
def relays() -> Iterator[dict[str, RelayProcess]]:
    with contextlib.ExitStack() as stack:
        yield {
            library: stack.enter_context(RelayProcess([sys.executable, str(HERE / program)]))
            for library, program in PROGRAMS.items()
        }


def _cases() -> Iterator[Any]:
    for path in conversation_files():
        conversation = load(path)
        for library in PROGRAMS:
            if is_had(path.stem, library):
                yield pytest.param(conversation, library, id=f"{path.stem}-{library}")


@pytest.mark.parametrize(("conversation", "library"), list(_cases()))
async def test_a_conversation_goes_with_a_library_as_its_file_says(
    conversation: Conversation, library: str, relays: dict[str, RelayProcess], home: Home
) -> None:
    await have(conversation, home, lambda daemon: LibraryWorld(relays[library], home, daemon))


def test_the_libraries_have_the_same_suite() -> None:
    names = [path.stem for path in conversation_files()]
    had = [name for name in names if all(is_had(name, library) for library in LIBRARIES)]
    assert len(had) >= HAD_MIN


@pytest.mark.parametrize("name", sorted(EXCLUDED))
def test_what_excludes_a_conversation_is_in_its_file(name: str) -> None:
    files = {path.stem: path for path in conversation_files()}
    assert has_trait(load(files[name]), EXCLUDED[name].trait)


def test_every_trait_excludes_something() -> None:
    assert {excluded.trait for excluded in EXCLUDED.values()} == set(TRAITS)
