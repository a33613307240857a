"""The OpenRPC document is valid by the meta-schema that the OpenRPC project publishes."""

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

PEERS = Path(__file__).parent
DOCUMENT = PEERS.parent.parent / "protocol" / "schema" / "openrpc.json"

JSON_SCHEMA = "https://meta.json-schema.tools"
"""What the meta-schema of OpenRPC refers to for the schemas inside a document."""


@pytest.fixture(scope="module")
def validator(node: str) -> jsonschema_rs.Draft7Validator:
    """The published meta-schema, with the schema it refers to; nothing is fetched."""
    program = (
        "const read = (name) => import(name).then((module) => module.default.default ?? module.default);"
        "const names = ['@open-rpc/meta-schema', '@json-schema-tools/meta-schema'];"
        "console.log(JSON.stringify(await Promise.all(names.map(read))));"
    )
    printed = subprocess.run(
        [node, "--input-type=module", "-e", program],
        check=True,
        capture_output=True,
        cwd=PEERS,
        timeout=30,
    )
    open_rpc, json_schema = (_as_draft_7(schema) for schema in json.loads(printed.stdout))
    known = {json_schema["$id"].rstrip("/"): json_schema}
    assert set(known) == {JSON_SCHEMA}
    return jsonschema_rs.Draft7Validator(open_rpc, retriever=lambda uri: known[uri.rstrip("/")])


def _as_draft_7(schema: dict[str, Any]) -> dict[str, Any]:
    """Name the dialect a schema is written in by its usual address, the one that validators know."""
    return {**schema, "$schema": "http://json-schema.org/draft-07/schema#"}


@pytest.fixture
def document() -> dict[str, Any]:
    return json.loads(DOCUMENT.read_text(encoding="utf-8"))


def test_the_document_is_valid_by_the_published_meta_schema(
    validator: jsonschema_rs.Draft7Validator, document: dict[str, Any]
) -> None:
    errors = [
        f"{list(error.instance_path)}: {error.message[:300]}" for error in validator.iter_errors(document)
    ]
    assert errors == []
    assert len(document["methods"]) > 10


@pytest.mark.parametrize("member", ["openrpc", "info", "methods"])
def test_the_meta_schema_refuses_a_document_without_a_required_member(
    validator: jsonschema_rs.Draft7Validator, document: dict[str, Any], member: str
) -> None:
    del document[member]
    assert not validator.is_valid(document)


def test_the_meta_schema_refuses_a_params_schema_that_is_none(
    validator: jsonschema_rs.Draft7Validator, document: dict[str, Any]
) -> None:
    method = next(method for method in document["methods"] if method["params"])
    method["params"][0]["schema"] = {"type": "nonsense"}
    assert not validator.is_valid(document)
