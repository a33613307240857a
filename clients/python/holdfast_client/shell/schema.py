"""`holdfast schema`: the protocol, and what `--json` prints, in the languages that tools read."""

import sys
from typing import Final

from holdfast_client.shell import documents
from holdfast_client.shell.arguments import Arguments, Spec, meant
from holdfast_client.shell.exit_codes import OK, UsageError

FORMATS: Final = ("json-schema", "openrpc", "typescript")

SPEC: Final = Spec(
    usage="""\
holdfast schema [DOCUMENT] [--as FORMAT]

Print the protocol's types and methods; or, as JSON Schema, what a command
prints with --json. DOCUMENT is the command's name, or stream-json for one line
of what run, logs and watch stream.

  --as FORMAT   json-schema, openrpc or typescript; json-schema
""",
    options={"--as": "as"},
    choices={"as": FORMATS},
    positionals=(0, 1),
    completes="command",
)


def run(arguments: Arguments) -> int:
    """Print a schema. No daemon is needed."""
    style = arguments.options.get("as", "json-schema")
    sys.stdout.write(
        _document(arguments.positionals[0], style) if arguments.positionals else _protocol(style)
    )
    return OK


def _protocol(style: str) -> str:
    from holdfast_protocol import schema  # noqa: PLC0415 - it imports msgspec, which no other command needs

    match style:
        case "openrpc":
            return documents.text_of(schema.openrpc())
        case "typescript":
            return schema.declarations()
        case _:
            return documents.text_of(schema.json_schema())


def _document(name: str, style: str) -> str:
    from holdfast_protocol import schema  # noqa: PLC0415 - as above

    if name not in documents.DOCUMENTS:
        raise UsageError(f"no command prints a document {name!r}{meant(name, documents.DOCUMENTS)}")
    if style != "json-schema":
        raise UsageError(f"what {name} prints is described as json-schema only")
    return documents.text_of(documents.bundle(name, schema.json_schema()["$defs"]))
