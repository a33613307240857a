"""The conversations show all there is (PROTOCOL.md, "Methods", "Events", "Errors").

What they do not show stands in `not_yet.yaml`, which can neither miss nor name too much.
"""

import re
from pathlib import Path

import pytest

from conversations.conversation import HERE, conversation_files, load
from conversations.coverage import Spoken, not_yet, spoken_of
from conversations.sources import emitted_events, raised_errors
from holdfast_protocol.errors import ERRORS
from holdfast_protocol.events import TAGS
from holdfast_protocol.methods import TABLE

ROOT = HERE.parent.parent


@pytest.fixture(scope="module")
def spoken() -> Spoken:
    return spoken_of(load(path) for path in conversation_files())


def test_every_method_of_the_table_is_called_or_heard(spoken: Spoken) -> None:
    assert set(TABLE) - spoken.methods == set()


def test_every_event_a_client_can_bring_about_is_heard(spoken: Spoken) -> None:
    exceptions = not_yet()
    assert spoken.events == set(TAGS) - set(exceptions.events) - set(exceptions.events_out_of_reach)


def test_every_error_a_client_can_bring_about_is_met(spoken: Spoken) -> None:
    exceptions = not_yet()
    kinds = {error.kind for error in ERRORS}
    assert spoken.errors == kinds - set(exceptions.errors) - set(exceptions.errors_out_of_reach)


def test_the_events_not_covered_are_those_no_source_emits() -> None:
    exceptions = not_yet()
    assert set(exceptions.events) == set(TAGS) - emitted_events()
    assert set(exceptions.events_out_of_reach) <= emitted_events()


def test_the_errors_not_covered_are_those_no_source_raises() -> None:
    exceptions = not_yet()
    assert set(exceptions.errors) == {error.kind for error in ERRORS} - raised_errors()
    assert set(exceptions.errors_out_of_reach) <= raised_errors()


@pytest.mark.parametrize("path", conversation_files(), ids=lambda path: path.stem)
def test_the_promise_of_a_conversation_is_written_where_it_says(path: Path) -> None:
    source = path.read_text(encoding="utf-8").split("\n", 1)[0]
    documents = set(re.findall(r"PROTOCOL\.md|docs/[a-z_/]+\.md|JSON-RPC 2\.0", source))
    assert documents
    if "PROTOCOL.md" in documents:
        sections = re.split("[:;]", source.split("PROTOCOL.md", 1)[1])[0]
        named = re.findall(r'"([^"]+)"', sections)
        headings = re.findall(r"^#+ `?(.*?)`?$", _text("protocol/PROTOCOL.md"), re.MULTILINE)
        assert named
        assert set(named) <= set(headings)
    for document in documents:
        if document.startswith("docs/"):
            assert all(name in _text(document) for name in re.findall(r"`([a-z_]+)`", source))


def _text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")
