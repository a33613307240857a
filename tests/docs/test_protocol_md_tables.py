"""protocol/PROTOCOL.md says of every type and table what the code says, and leaves none out."""

import re
from pathlib import Path

import msgspec
import pytest
from protocol_examples import PROTOCOL_MD, prose

from conversations.sources import emitted_events
from holdfast_daemon.config import Config
from holdfast_daemon.methods.connection import limits_of
from holdfast_protocol import discovery, errors, events, methods, schema
from holdfast_protocol.capabilities import Limits
from holdfast_protocol.content import ContentBlock

ROOT = Path(__file__).parents[2]
DOCUMENT = prose(PROTOCOL_MD.read_text(encoding="utf-8"))
NAME = re.compile(r"`([^`]+)`")


def _sections(marks: str) -> dict[str, str]:
    """Give the text below each heading of one level, up to the next heading of that level or above."""
    found: dict[str, str] = {}
    for match in re.finditer(rf"^{marks} (.+)$", DOCUMENT, re.MULTILINE):
        body = DOCUMENT[match.end() :]
        end = re.search(rf"^#{{1,{len(marks)}}} ", body, re.MULTILINE)
        found[match[1].strip("`")] = body[: end.start()] if end else body
    return found


CHAPTERS, ENTRIES = _sections("##"), _sections("####")


def _names(text: str) -> list[str]:
    return NAME.findall(text)


def _rows(chapter: str, columns: int) -> list[list[str]]:
    """Give the cells of a chapter's table rows whose first cell has a name or a number."""
    rows = [line.strip("| ").split(" | ") for line in CHAPTERS[chapter].splitlines() if line.startswith("| ")]
    return [row for row in rows if len(row) == columns and re.match(r"`|-\d", row[0])]


def _members(kind: type[msgspec.Struct]) -> list[str]:
    """Give a type's members as the document writes them: with `?` if they may be absent."""
    return [
        field.encode_name + ("" if field.required else "?")
        for field in msgspec.structs.fields(kind)
        if field.name not in {"seq", "at", "run_id"} or not issubclass(kind, events.EventBase)
    ]


def _line(entry: str, label: str) -> str:
    match = re.search(rf"^- {label}: (.*)$", ENTRIES[entry], re.MULTILINE)
    assert match, f"{entry} has no line “{label}”"
    return match[1]


def test_there_is_an_entry_for_every_method_and_notification_in_the_order_of_the_table():
    assert list(ENTRIES) == [
        *(row.name for row in methods.TABLE.values() if row.direction != "server_notification"),
        *(row.name for row in sorted(_notifications(), key=lambda row: list(ENTRIES).index(row.name))),
    ]


def _notifications() -> list[methods.Method]:
    return [row for row in methods.TABLE.values() if row.direction == "server_notification"]


@pytest.mark.parametrize("row", methods.TABLE.values(), ids=lambda row: row.name)
def test_an_entry_names_exactly_the_members_of_params_and_result(row):
    assert sorted(_names(_line(row.name, "Params"))) == sorted(_members(row.params))
    if row.direction == "call" and row.name != "rpc.discover":
        assert sorted(_names(_line(row.name, "Result"))) == sorted(_members(row.result))


@pytest.mark.parametrize("row", methods.CALLS.values(), ids=lambda row: row.name)
def test_an_entry_names_the_role_and_the_errors_of_the_table(row):
    role, *kinds = _names(_line(row.name, "Role"))
    assert role == row.role
    assert kinds == list(row.errors)


def test_every_kind_of_error_is_in_the_table_with_its_code():
    found = [(int(row[0]), row[1].strip("`"), row[2]) for row in _rows("Errors", 4)]
    assert found == [(error.code, error.kind, "yes" if error.retryable else "no") for error in errors.ERRORS]


def test_the_common_errors_are_named_as_such():
    sentence = re.search(r"any call can be answered with (.*)\.", CHAPTERS["Errors"])
    assert sentence
    assert _names(sentence[1]) == list(methods.COMMON_ERRORS)


def test_every_limit_of_the_handshake_is_in_the_table_with_its_default():
    wire = msgspec.to_builtins(limits_of(Config(state_dir="")))
    assert {row[0].strip("`"): int(row[1]) for row in _rows("Limits", 3)} == wire
    assert len(wire) == len(msgspec.structs.fields(Limits))


def test_every_event_is_in_the_table_with_exactly_its_members():
    found = {row[0].strip("`"): _names(row[1]) for row in _rows("Events", 3)}
    assert found == {tag: _members(kind) for tag, kind in events.TAGS.items()}


def test_the_events_nothing_emits_are_named_as_such():
    sentence = re.search(r"emitted by nothing yet: (.*)\.", CHAPTERS["Events"])
    assert sentence
    assert set(_names(sentence[1])) == events.TAGS.keys() - emitted_events()


def test_every_kind_of_content_block_is_in_the_table_with_its_members():
    found = {row[0].strip("`"): _names(row[1]) for row in _rows("Content", 3)}
    assert found == {str(kind.__struct_config__.tag): _members(kind) for kind in ContentBlock.__args__}


def test_every_member_of_every_type_of_the_wire_is_named_somewhere():
    named = {name.rstrip("?") for name in _names(DOCUMENT)}
    missing = {
        f"{kind}.{member}"
        for kind, definition in schema.json_schema()["$defs"].items()
        for member in definition.get("properties", ())
        if member not in named and kind not in {"ErrorObject", "UnknownEvent"}
    }
    assert missing == set()


def test_every_value_of_an_enumeration_is_named_somewhere():
    text = schema.json_schema()["$defs"]
    values = {
        value
        for kind in (
            "SessionWaitResult",
            "DaemonStateParams",
            "SessionsChangedParams",
            "SessionSubscribeParams",
        )
        for member in text[kind]["properties"].values()
        for value in _values(member)
    }
    assert len(values) > 10
    assert values - {name.strip('"') for name in _names(DOCUMENT)} == set()


def _values(member: dict) -> list[str]:
    options = [member, *member.get("anyOf", ())]
    return [value for option in options for value in option.get("enum", ()) if isinstance(value, str)]


def test_the_files_of_discovery_are_named():
    places = discovery.locations({"HOLDFAST_HOME": "/h"}, "/h")
    files = {Path(path).name for path in (places.record, places.socket, places.start_lock, places.log)}
    assert [name for name in files if name not in PROTOCOL_MD.read_text(encoding="utf-8")] == []


def test_a_section_that_code_refers_to_is_there():
    referred: set[str] = set()
    for path in [*(ROOT / "protocol").rglob("*.py"), *(ROOT / "daemon").rglob("*.py")]:
        referred.update(re.findall(r'PROTOCOL\.md, "([^"]+)"', path.read_text(encoding="utf-8")))
    assert referred
    assert referred - CHAPTERS.keys() == set()


def test_the_table_of_contents_leads_to_every_chapter():
    listed = re.findall(r"\[([^\]]+)\]\(#", DOCUMENT.partition("\n## ")[0])
    assert listed == list(CHAPTERS)
