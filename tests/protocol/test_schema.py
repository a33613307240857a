"""The generated documents (protocol/schema): fresh, valid, and true to what is on the wire."""

import copy
import re
from functools import cache
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_values import of

from holdfast_protocol import errors, events, methods, schema, view

COMMITTED = Path(schema.__file__).parents[1] / "schema"

HERE = Path(__file__).parent

DRAFT_7 = "http://json-schema.org/draft-07/schema#"

every_event = pytest.mark.parametrize("kind", events.EVENT_TYPES, ids=lambda kind: kind.__name__)


@cache
def validator(definition):
    """Give the validator of one type of the JSON Schema document."""
    document = schema.json_schema()
    return jsonschema_rs.Draft202012Validator({"$ref": f"#/$defs/{definition}", "$defs": document["$defs"]})


def plain(value):
    return msgspec.json.decode(msgspec.json.encode(value))


# The files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["openrpc.json", "schema.json", "holdfast.d.ts"])
def test_the_committed_file_is_fresh(name):
    """If this fails: `python -m holdfast_protocol.schema`."""
    assert (COMMITTED / name).read_bytes() == schema.documents()[name]


def test_nothing_else_lies_beside_the_generated_files():
    assert {path.name for path in COMMITTED.iterdir()} == schema.documents().keys()


def test_main_writes_every_file(tmp_path):
    schema.main([str(tmp_path)])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == schema.documents()


# JSON Schema -----------------------------------------------------------------------------------------


def test_the_json_schema_document_is_a_valid_schema():
    jsonschema_rs.meta.validate(schema.json_schema())


def test_every_reference_of_every_document_leads_somewhere():
    for document, prefix in ((schema.json_schema(), "#/$defs/"), (schema.openrpc(), "#/components/schemas/")):
        text = msgspec.json.encode(document).decode()
        known = document["$defs"] if "$defs" in document else document["components"]["schemas"]
        targets = set(re.findall(r'"(#/[^"]*)"', text))
        named = {target for target in targets if not target.startswith("#/components/errors/")}
        assert named
        assert named <= {prefix + name for name in known}


def test_every_type_of_the_tables_is_there():
    types = [kind for row in methods.TABLE.values() for kind in (row.params, row.result)]
    names = {
        kind.__name__
        for kind in (*types, *events.EVENT_TYPES, view.Snapshot)
        if hasattr(kind, "__struct_fields__")
    }
    assert (
        names | {"Event", "ContentBlock", "UnknownEvent", "ErrorData"} <= schema.json_schema()["$defs"].keys()
    )


@every_event
@settings(max_examples=25)  # times the number of types
@given(data=st.data())
def test_every_event_is_valid_as_it_is_on_the_wire(kind, data):
    body = plain(data.draw(of(kind)))
    assert validator("Event").is_valid(body)
    assert validator(kind.__name__).is_valid(body)


@every_event
def test_an_event_without_its_type_number_or_time_is_invalid(kind):
    required = schema.json_schema()["$defs"][kind.__name__]["required"]
    assert required[:3] == ["type", "seq", "at"]


@pytest.mark.parametrize(
    "body",
    [
        {"type": "run_resumed", "seq": 0, "at": 1},
        {"type": "run_resumed", "at": 1},
        {"type": "run_resumed", "seq": 1},
        {"seq": 1, "at": 1},
        {"type": "from_the_future", "seq": 1, "at": 1},
        {"type": "token_delta", "seq": 1, "at": 1, "blockId": "b", "offset": "0", "text": "x"},
    ],
)
def test_what_is_no_event_is_invalid(body):
    assert not validator("Event").is_valid(body)


def test_the_union_of_events_says_how_to_tell_them_apart():
    union = schema.json_schema()["$defs"]["Event"]
    assert union["discriminator"]["propertyName"] == "type"
    assert union["discriminator"]["mapping"] == {
        tag: f"#/$defs/{kind.__name__}" for tag, kind in events.TAGS.items()
    }
    assert [option["$ref"] for option in union["anyOf"]] == [
        f"#/$defs/{kind.__name__}" for kind in events.EVENT_TYPES
    ]


def test_batches_and_pages_hold_events():
    definitions = schema.json_schema()["$defs"]
    for name in ("SessionEventsParams", "SessionReadResult"):
        assert definitions[name]["properties"]["events"]["items"] == {"$ref": "#/$defs/Event"}


@pytest.mark.parametrize("row", methods.TABLE.values(), ids=lambda row: row.name)
@settings(max_examples=10)  # times the number of methods
@given(data=st.data())
def test_params_and_results_are_valid_as_they_are_on_the_wire(row, data):
    for kind in (row.params, row.result):
        if hasattr(kind, "__struct_fields__") and "events" not in kind.__struct_fields__:
            assert validator(kind.__name__).is_valid(plain(data.draw(of(kind))))


def test_an_identifier_is_held_to_the_same_rule_as_in_the_daemon():
    identifiers = ["a", "a\n", "", "-a", "x" * 129, "a b"]
    valid = [text for text in identifiers if validator("SessionGetParams").is_valid({"sessionId": text})]
    assert valid == ["a"]


def test_what_a_docstring_says_of_a_member_is_its_description():
    definitions = schema.json_schema()["$defs"]
    subscribe = definitions["SessionSubscribeParams"]
    assert subscribe["description"] == "Follow a session from a cursor."
    assert (
        subscribe["properties"]["epoch"]["description"]
        == "the epoch the cursor belongs to; checked if given."
    )
    assert subscribe["properties"]["onLag"]["description"].startswith(
        "what happens if this client reads too slowly"
    )
    assert "Attributes:" not in msgspec.json.encode(definitions).decode()


# OpenRPC ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def openrpc_meta():
    """Give the validator of OpenRPC documents; its two files are described in meta-schemas.README.md."""
    meta = msgspec.json.decode((HERE / "openrpc-meta-schema.json").read_bytes())
    of_schemas = msgspec.json.decode((HERE / "json-schema-tools-meta-schema.json").read_bytes())
    for document in (meta, of_schemas):
        document["$schema"] = DRAFT_7  # Both name a dialect that is Draft 7 under an address of its own.
    addresses = [of_schemas["$id"], of_schemas["$id"].rstrip("/")]
    registry = jsonschema_rs.Registry(
        [(address, of_schemas) for address in addresses], draft=jsonschema_rs.Draft7
    )
    return jsonschema_rs.Draft7Validator(meta, registry=registry)


def test_the_openrpc_document_is_valid(openrpc_meta):
    openrpc_meta.validate(schema.openrpc())


def spoil_version(document):
    document["openrpc"] = "9.9.9"


def spoil_method(document):
    document["methods"][0]["nonsense"] = 1


def spoil_params(document):
    document["methods"][0]["params"][0]["schema"]["type"] = "nonsense"


def spoil_component(document):
    document["components"]["schemas"]["Usage"]["type"] = "nonsense"


@pytest.mark.parametrize("spoil", [spoil_version, spoil_method, spoil_params, spoil_component])
def test_the_meta_schema_refuses_a_spoilt_document(openrpc_meta, spoil):
    document = copy.deepcopy(schema.openrpc())
    spoil(document)
    assert not openrpc_meta.is_valid(document)


def test_every_row_of_the_table_is_in_the_openrpc_document():
    document = schema.openrpc()
    notified = [row["name"] for row in document["x-notifications"]]
    called = [row["name"] for row in document["methods"]]
    assert sorted(notified + called) == sorted(methods.TABLE)
    assert set(notified) == {
        row.name for row in methods.TABLE.values() if row.direction == "server_notification"
    }


def test_a_method_says_its_params_result_errors_and_role():
    (method,) = (row for row in schema.openrpc()["methods"] if row["name"] == "session/get")
    assert method["params"] == [
        {
            "name": "sessionId",
            "required": True,
            "schema": schema.openrpc()["components"]["schemas"]["SessionGetParams"]["properties"][
                "sessionId"
            ],
        }
    ]
    assert method["result"]["schema"] == {"$ref": "#/components/schemas/SessionGetResult"}
    assert {"$ref": "#/components/errors/not_found"} in method["errors"]
    assert {"$ref": "#/components/errors/overloaded"} in method["errors"]
    assert (method["x-role"], method["x-direction"], method["paramStructure"]) == (
        "observer",
        "call",
        "by-name",
    )


def test_only_calls_have_results_and_errors():
    document = schema.openrpc()
    for row in (*document["methods"], *document["x-notifications"]):
        is_call = row["name"] in methods.CALLS
        assert ("result" in row) == is_call
        assert ("errors" in row) == is_call


def test_params_that_must_be_given_come_first():
    for row in schema.openrpc()["methods"]:
        required = [param["required"] for param in row["params"]]
        assert required == sorted(required, reverse=True)


def test_the_error_table_is_in_the_openrpc_document():
    listed = schema.openrpc()["components"]["errors"]
    assert {kind: error["code"] for kind, error in listed.items()} == {
        error.kind: error.code for error in errors.ERRORS
    }
    assert all(error["message"].endswith(".") for error in listed.values())


def test_the_openrpc_document_is_made_once():
    assert schema.openrpc() is schema.openrpc()
