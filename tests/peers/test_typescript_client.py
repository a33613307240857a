"""The TypeScript client builds under `--strict`, keeps to the protocol's types, and does what it promises.

Its own suites (clients/typescript/test) run here against the real daemon, one test per file.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typescript_client import BUILT, CLIENT, run

from holdfast_protocol import schema
from holdfast_protocol.version import VERSION

SUITE_S_MAX = 100.0

SUITES = sorted(path.name.removesuffix(".test.ts") for path in (CLIENT / "test").glob("*.test.ts"))

OPTIONS = ("--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--types", "node")
PREAMBLE = """\
import { connect } from "@holdfast/client/node";
const client = await connect({ discover: true });
"""
MISTAKES = {
    'await client.call("session/create", {});': "TS2741",
    'await client.call("session/create", { cwd: 7 });': "TS2322",
    'await client.call("session/create", { cwd: "/", titel: "" });': "TS2561",
    'await client.call("session/explode", {});': "TS2345",
    'await client.call("session/subscribe", { sessionId: "s" });': "TS2345",
    "await connect({ discover: true, answers: { permission: () => ({ allow: true }) } });": "TS2322",
    'client.session("s").events({ types: ["token_exploded"] });': "TS2322",
}
"""Lines of a program, and what the compiler says to each."""

BLOCK = re.compile(r"^```ts\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def programs(built: Path) -> Path:
    """A folder whose files may import `@holdfast/client`, as a program of somebody else would."""
    assert built.is_dir()
    folder = BUILT / "programs"
    folder.mkdir(exist_ok=True)
    return folder


def _compile(*programs: Path) -> subprocess.CompletedProcess[str]:
    return run(str(CLIENT / "node_modules" / ".bin" / "tsc"), "--ignoreConfig", *OPTIONS, *map(str, programs))


@pytest.mark.parametrize("suite", SUITES)
def test_the_suites_of_the_client_pass(built: Path, holdfastd: str, suite: str) -> None:
    node = shutil.which("node")
    assert node, "node is not installed"
    file = built.parent / "test" / f"{suite}.test.js"
    limit = f"--test-timeout={int(SUITE_S_MAX * 500)}"
    command = (node, "--test", limit, "--test-reporter=tap", str(file))
    tested = run(*command, timeout_s=SUITE_S_MAX, HOLDFASTD=holdfastd)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert re.search(r"^# pass [1-9]", tested.stdout, re.MULTILINE), tested.stdout


def test_the_client_is_built_with_the_protocols_types(built: Path) -> None:
    assert (CLIENT / "src" / "protocol.ts").read_text(encoding="utf-8") == schema.declarations()
    shipped = (built / "protocol.d.ts").read_text(encoding="utf-8")
    declared = re.findall(r"^export (?:interface|type) (\w+)", schema.declarations(), re.MULTILINE)
    assert re.findall(r"^export (?:interface|type) (\w+)", shipped, re.MULTILINE) == declared


def test_the_client_has_the_version_of_the_workspace_and_no_dependencies() -> None:
    package = json.loads((CLIENT / "package.json").read_text(encoding="utf-8"))
    assert (package["version"], package["license"], package["private"]) == (VERSION, "MIT", True)
    assert "dependencies" not in package


def test_the_lock_file_names_no_addresses() -> None:
    lock = json.loads((CLIENT / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if "integrity" not in package] == []


def test_the_examples_of_the_readme_compile(programs: Path) -> None:
    blocks = BLOCK.findall((CLIENT / "README.md").read_text(encoding="utf-8"))
    assert len(blocks) >= 3
    files = [programs / f"readme_{number}.mts" for number in range(len(blocks))]
    for file, block in zip(files, blocks, strict=True):
        file.write_text(block, encoding="utf-8")
    compiled = _compile(*files)
    assert (compiled.returncode, compiled.stdout) == (0, "")


def test_mistakes_in_a_program_do_not_compile(programs: Path) -> None:
    file = programs / "mistaken.mts"
    file.write_text(PREAMBLE + "\n".join(MISTAKES), encoding="utf-8")
    compiled = _compile(file)
    assert compiled.returncode != 0
    reported = re.findall(r"\.mts\((\d+),\d+\): error (TS\d+):", compiled.stdout)
    first = PREAMBLE.count("\n") + 1
    assert reported == [(str(first + place), error) for place, error in enumerate(MISTAKES.values())]


@pytest.mark.parametrize(
    ("row", "error"), [("", r"Property '\"session/fork\"' is missing"), ('"session/fork": "again",', "keyed")]
)
def test_a_method_has_its_row_in_the_resend_table_or_nothing_compiles(
    programs: Path, row: str, error: str
) -> None:
    source = (CLIENT / "src" / "resend.ts").read_text(encoding="utf-8")
    changed = source.replace('"./protocol.js"', '"../src/protocol.js"').replace(
        '"session/fork": "keyed",', row
    )
    file = programs / "changed_resend.mts"
    file.write_text(changed, encoding="utf-8")
    compiled = _compile(file)
    assert compiled.returncode != 0
    assert re.search(error, compiled.stdout), compiled.stdout
