"""The types are those of the published schema, and are decoded as leniently as it says and no more."""

import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from published_schema import DEFINITIONS, violations

from holdfast_client.bridges.acp import greeting
from holdfast_protocol.foreign.acp import client_calls, content, handshake, sessions, tolerance, updates
from holdfast_protocol.foreign.acp.base import ITEMS, ON_ERROR, ON_NULL

TYPES: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "InitializeRequest": (handshake.InitializeRequest,),
    "ClientCapabilities": (handshake.ClientCapabilities,),
    "FileSystemCapabilities": (handshake.FileSystem,),
    "ClientSessionCapabilities": (handshake.ClientSession,),
    "ElicitationCapabilities": (handshake.Elicitation,),
    "AuthCapabilities": (handshake.ClientAuth,),
    "Implementation": (handshake.Implementation,),
    "AuthenticateRequest": (handshake.AuthenticateRequest,),
    "Annotations": (content.Annotations,),
    "TextContent": (content.Text,),
    "ImageContent": (content.Image,),
    "AudioContent": (content.Audio,),
    "ResourceLink": (content.ResourceLink,),
    "EmbeddedResource": (content.Resource,),
    "NewSessionRequest": (sessions.NewSession,),
    "LoadSessionRequest": (sessions.OldSession,),
    "ResumeSessionRequest": (sessions.OldSession,),
    "McpServerStdio": (sessions.StdioServer,),
    "McpServerHttp": (sessions.HttpServer,),
    "SetSessionModeRequest": (sessions.SetMode,),
    "PromptRequest": (sessions.Prompt,),
    "TerminalExitStatus": (client_calls.ExitStatus,),
    "WaitForTerminalExitResponse": (client_calls.ExitStatus,),
    "TerminalOutputResponse": (client_calls.TerminalOutput,),
    "ReadTextFileResponse": (client_calls.FileText,),
    "CreateTerminalResponse": (client_calls.TerminalCreated,),
}
"""What is received, by its definition's name."""

TELLS: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "ToolCall": (updates.ToolCall,),
    "ToolCallUpdate": (updates.ToolCallChanged, updates.ToolCallUpdate),
    "Plan": (updates.Plan,),
    "PlanEntry": (updates.PlanEntry,),
    "AvailableCommand": (updates.Command,),
    "CurrentModeUpdate": (updates.ModeUpdate,),
    "UsageUpdate": (updates.UsageUpdate,),
    "Notice": (updates.Notice,),
    "CompactionSummaryChunk": (updates.CompactionChunk,),
    "SessionInfo": (sessions.SessionRow,),
    "SessionMode": (sessions.Mode,),
    "SessionModeState": (sessions.ModeState,),
    "ReadTextFileRequest": (client_calls.ReadTextFile,),
    "WriteTextFileRequest": (client_calls.WriteTextFile,),
    "PermissionOption": (client_calls.PermissionOption,),
    "RequestPermissionRequest": (client_calls.RequestPermission,),
}
"""What is sent."""

ALSO = {"_meta", "archived"}
"""Members that are not in the stable schema, or are in all of it."""


def encoded(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


@pytest.mark.parametrize("name", [*TYPES, *TELLS])
def test_a_type_has_the_members_of_its_definition(name: str) -> None:
    members = set(DEFINITIONS[name].get("properties", {})) - {"_meta"}
    for kind in (TYPES | TELLS)[name]:
        ours = set(encoded(kind)) - ALSO
        assert ours - members - {"type"} == set()
        if name in TYPES:
            assert members - ours == set()


@pytest.mark.parametrize("name", TYPES)
def test_a_type_is_as_lenient_as_its_definition(name: str) -> None:
    for kind in TYPES[name]:
        hints = typing.get_type_hints(kind, include_extras=True)
        for field in msgspec.structs.fields(kind):
            published = DEFINITIONS[name].get("properties", {}).get(field.encode_name)
            if published is None or field.encode_name == "_meta":
                continue
            marks: dict[str, bool] = {}
            for meta in getattr(hints[field.name], "__metadata__", ()):
                marks |= meta.extra or {}
            assert {
                "error": bool(marks.get(ON_ERROR)),
                "items": bool(marks.get(ITEMS)),
                "null": bool(marks.get(ON_NULL)),
            } == {
                "error": published.get("x-deserialize-default-on-error", False),
                "items": published.get("x-deserialize-skip-invalid-items", False),
                "null": published.get("x-deserialize-default-on-null", False),
            }, field.encode_name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)

NAMES = [
    "fs",
    "terminal",
    "session",
    "auth",
    "elicitation",
    "readTextFile",
    "notices",
    "form",
    "_meta",
    "new",
]

OBJECTS = st.recursive(
    st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4),
    lambda inner: st.dictionaries(st.sampled_from(NAMES), inner | JSON, max_size=4),
    max_leaves=8,
)


@given(capabilities=JSON | OBJECTS, info=JSON)
def test_no_capabilities_keep_an_editor_from_being_greeted(capabilities: Any, info: Any) -> None:
    """`x-deserialize-default-on-error`: a bad optional value counts as absent."""
    params = {"protocolVersion": 1, "clientCapabilities": capabilities, "clientInfo": info}
    hello = tolerance.convert(params, handshake.InitializeRequest)
    assert hello.protocol_version == 1
    assert greeting.is_answerable(params)


@given(value=OBJECTS)
def test_what_fits_is_kept_beside_what_does_not(value: dict[str, Any]) -> None:
    fs = {"readTextFile": True, "writeTextFile": value}
    hello = tolerance.convert(
        {"protocolVersion": 1, "clientCapabilities": {**value, "fs": fs, "terminal": True}},
        handshake.InitializeRequest,
    )
    assert hello.client_capabilities.terminal is True
    assert hello.client_capabilities.fs == handshake.FileSystem(read_text_file=True)


def test_what_must_be_there_is_never_guessed() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.cwd"):
        tolerance.convert({"cwd": None}, sessions.NewSession)


def test_the_greeting_is_of_its_definition() -> None:
    assert violations("InitializeResponse", greeting.facts()) == []


def test_a_value_that_is_decoded_is_not_changed() -> None:
    params = {"protocolVersion": 1, "clientCapabilities": {"fs": 3}}
    tolerance.convert(params, handshake.InitializeRequest)
    assert params == {"protocolVersion": 1, "clientCapabilities": {"fs": 3}}
