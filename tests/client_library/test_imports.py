"""What importing the library loads (design 1: thin clients never import agent code)."""

import json
import subprocess
import sys
import types

import pytest

import holdfast_client
from holdfast_client import aio, blocking, errors

PROBE = "import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"

AGENT_CODE = {"holdfast_daemon", "apsw", "anthropic", "openai", "mcp", "aiohttp", "httpx", "yaml"}


def modules(statement: str) -> set[str]:
    """Give the top-level modules a fresh interpreter has after a statement."""
    ran = subprocess.run(
        [sys.executable, "-c", PROBE.format(statement=statement)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return {name.partition(".")[0] for name in json.loads(ran.stdout)}


@pytest.mark.parametrize(
    "statement",
    [
        "import holdfast_client",
        "import holdfast_client.aio",
        "import holdfast_client.blocking",
        "import holdfast_client; holdfast_client.connect; holdfast_client.blocking.connect",
    ],
)
def test_the_library_loads_no_agent_code(statement: str):
    assert modules(statement) & AGENT_CODE == set()


def test_the_package_itself_loads_nothing():
    assert modules("import holdfast_client") & {"anyio", "asyncio", "msgspec", "holdfast_protocol"} == set()


def test_the_async_library_needs_only_the_protocol_anyio_and_msgspec():
    ours = {"holdfast_client", "holdfast_protocol", "anyio", "msgspec"}
    third_party = {"idna", "typing_extensions", "sniffio", "trio", "uvloop"}
    new = modules("import holdfast_client.aio") - modules("import asyncio, ssl, subprocess, email")
    foreign = {name for name in new - ours - third_party if name not in sys.stdlib_module_names}
    assert {name for name in foreign if not name.startswith("_")} == set()


@pytest.mark.parametrize("package", [holdfast_client, aio, blocking, errors])
def test_every_exported_name_is_there_once(package: types.ModuleType):
    assert len(set(package.__all__)) == len(package.__all__)
    assert [name for name in package.__all__ if not hasattr(package, name)] == []


@pytest.mark.parametrize("package", [aio, blocking])
def test_every_class_a_program_gets_in_hand_is_exported(package: types.ModuleType):
    public = {
        name
        for name, value in vars(package).items()
        if isinstance(value, type)
        and value.__module__.startswith("holdfast_client")
        and not name.startswith("_")
    }
    inner = {"Auto", "Caller", "Fixed", "Keeper", "Requirement", "Shared", "Sidecar"}
    assert public - inner <= set(package.__all__)


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        holdfast_client.nothing  # noqa: B018 - the access is what is tested
