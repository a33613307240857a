"""Every limit is in docs/limits.md with the default the code has, and nothing else is."""

import ast
import re
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from holdfast_daemon import config
from holdfast_daemon.extensions import (
    instructions,
    loader,
    manifest,
    markdown_command,
    mcp_connection,
    plugins,
    session_extensions,
    slash_commands,
)
from holdfast_daemon.extensions.mcp_server import McpLimits
from holdfast_daemon.methods.connection import limits_of
from holdfast_daemon.sessions import (
    delegation,
    elicitations,
    extension_slot,
    request_mutations,
    run_setup,
    summing_up,
)
from holdfast_protocol import connection, framing, jsonrpc, view
from holdfast_protocol.capabilities import Limits
from holdfast_protocol.methods.subscribe import READ_EVENTS_MAX
from holdfast_protocol.methods.usage import USAGE_MODELS_MAX

GROUPS: dict[str, type[msgspec.Struct]] = {
    "net": config.NetLimits,
    "journal": config.JournalLimits,
    "hub": config.HubLimits,
    "sessions": config.SessionLimits,
    "execution": config.ExecutionLimits,
    "sandbox": config.SandboxSettings,
    "fetch": config.FetchSettings,
}

# Limits of the wire: constants, because both sides of a connection hold to them.
PROTOCOL: dict[str, int] = {
    "depth_max": jsonrpc.DEPTH_MAX,
    "members_max": jsonrpc.MEMBERS_MAX,
    "id_bytes_max": jsonrpc.ID_BYTES_MAX,
    "method_bytes_max": jsonrpc.METHOD_BYTES_MAX,
    "header_bytes_max": framing.HEADER_BYTES_MAX,
    "headers_max": framing.HEADERS_MAX,
    "handshake_bytes_max": connection.HANDSHAKE_BYTES_MAX,
    "snapshot_bytes_max": view.SNAPSHOT_BYTES_MAX,
    "read_events_max": READ_EVENTS_MAX,
    "usage_models_max": USAGE_MODELS_MAX,
}

# Constants of the daemon: nobody has wanted another value.
EXTENDING: dict[str, float] = {
    "delegation_depth_max": delegation.DEPTH_MAX,
    "children_max": delegation.CHILDREN_MAX,
    "values_bytes_max": request_mutations.VALUES_BYTES_MAX,
    "settle_s": extension_slot.SETTLE_S,
    "problems_max": run_setup.PROBLEMS_MAX,
    "summary_requests_max": summing_up.REQUESTS_MAX,
    "elicitations_max": elicitations.OPEN_MAX,
    "plugins_max": loader.PLUGINS_MAX,
    "projects_max": plugins.PROJECTS_MAX,
    "tools_max": session_extensions.TOOLS_MAX,
    "commands_max": slash_commands.COMMANDS_MAX,
    "command_bytes_max": markdown_command.BODY_BYTES_MAX,
    "instructions_bytes_max": instructions.INSTRUCTIONS_BYTES_MAX,
    "instructions_total_bytes": instructions.INSTRUCTIONS_TOTAL_BYTES,
    "manifest_bytes_max": manifest.MANIFEST_BYTES_MAX,
    "mcp_items_max": mcp_connection.ITEMS_MAX,
    "mcp_connect_timeout_s": McpLimits().connect_timeout_s,
    "mcp_call_timeout_s": McpLimits().call_timeout_s,
    "mcp_wait_s": McpLimits().wait_s,
    "mcp_backoff_max_s": McpLimits().backoff_max_s,
    "mcp_failures_max": McpLimits().failures_max,
}

MULTIPLES = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
AMOUNT = re.compile(r"([\d,]+(?:\.\d+)?)(?: (KiB|MiB|GiB))?")


class Row(NamedTuple):
    """A row of a table of docs/limits.md, its default as a number of its unit."""

    default: float
    unit: str
    at_limit: str
    reason: str


@pytest.fixture(scope="module")
def documented(root: Path) -> dict[str, dict[str, Row]]:
    """The tables of docs/limits.md: group → name → row."""
    text = (root / "docs" / "limits.md").read_text(encoding="utf-8")
    sections = re.split(r"^## `(\w+)`.*$", text, flags=re.MULTILINE)
    return {group: _rows(body) for group, body in zip(sections[1::2], sections[2::2], strict=True)}


def _rows(body: str) -> dict[str, Row]:
    return {
        name: Row(_amount(default), unit, at_limit, reason)
        for name, default, unit, at_limit, reason in ROW.findall(body)
    }


def _amount(text: str) -> float:
    match = AMOUNT.fullmatch(text)
    assert match, f"not an amount: {text!r}"
    return float(match[1].replace(",", "")) * MULTIPLES[match[2] or ""]


def _defaults(group: type[msgspec.Struct]) -> dict[str, Any]:
    """Give the defaults of a group's limits; switches and lists are none."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(group)}
    return {name: value for name, value in defaults.items() if type(value) in (int, float)}


def _unit_of(name: str) -> str | None:
    """Give the unit a name ends with (house rule: units last); None where it counts things."""
    bare = name.removesuffix("_max")
    return next((unit for unit in ("bytes", "s", "ms", "chars") if bare.endswith(f"_{unit}")), None)


def test_the_document_has_a_table_for_every_group_and_no_other(documented: dict[str, dict[str, Row]]) -> None:
    groups = {field.name for field in msgspec.structs.fields(config.Config) if field.name in GROUPS}
    assert groups == set(GROUPS)
    assert set(documented) == {"protocol", "extending", "config", *GROUPS}


@pytest.mark.parametrize("group", GROUPS)
def test_every_limit_of_the_settings_is_documented_with_its_default(
    documented: dict[str, dict[str, Row]], group: str
) -> None:
    assert {name: row.default for name, row in documented[group].items()} == _defaults(GROUPS[group])


def test_every_limit_of_the_wire_is_documented_with_its_value(documented: dict[str, dict[str, Row]]) -> None:
    assert {name: row.default for name, row in documented["protocol"].items()} == PROTOCOL


def test_every_constant_of_what_people_add_is_documented(documented: dict[str, dict[str, Row]]) -> None:
    assert {name: row.default for name, row in documented["extending"].items()} == EXTENDING


def test_the_times_among_the_settings_themselves_are_documented(
    documented: dict[str, dict[str, Row]],
) -> None:
    times = {name: value for name, value in _defaults(config.Config).items() if name.endswith("_s")}
    assert {name: row.default for name, row in documented["config"].items()} == times


def test_every_limit_a_client_is_told_has_a_row(documented: dict[str, dict[str, Row]]) -> None:
    rows = {name for table in documented.values() for name in table}
    assert {field.name for field in msgspec.structs.fields(Limits)} <= rows


def test_a_client_is_told_the_documented_values(documented: dict[str, dict[str, Row]]) -> None:
    rows = {name: row.default for table in documented.values() for name, row in table.items()}
    told = msgspec.structs.asdict(limits_of(config.Config(state_dir="/")))
    assert {name: rows[name] for name in told} == told


def test_a_row_has_the_unit_its_name_ends_with(documented: dict[str, dict[str, Row]]) -> None:
    wrong = {
        name: row.unit
        for table in documented.values()
        for name, row in table.items()
        if (unit := _unit_of(name)) is not None and row.unit.partition(" ")[0] != unit
    }
    assert wrong == {}


def test_every_row_says_what_happens_and_why(documented: dict[str, dict[str, Row]]) -> None:
    empty = [
        name
        for table in documented.values()
        for name, row in table.items()
        if len(row.at_limit) < 10 or len(row.reason) < 10
    ]
    assert empty == []


def test_every_limit_of_the_settings_is_read_somewhere_in_the_daemon(root: Path) -> None:
    read: set[str] = set()
    for path in (root / "daemon" / "holdfast_daemon").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        read.update(node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    declared = {name for group in GROUPS.values() for name in _defaults(group)}
    assert declared - read == set()
