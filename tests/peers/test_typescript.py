"""The generated TypeScript types compile under `--strict`, narrow events by their tag, and refuse mistakes.

`client.ts` is what a typed client does. The other programs are written here, each with one mistake, so that
types which allow everything would fail.
"""

import subprocess
from pathlib import Path

import pytest

from holdfast_protocol.events import TAGS

PEERS = Path(__file__).parent
TYPES = PEERS.parent.parent / "protocol" / "schema" / "holdfast"

OPTIONS = (
    "--strict",
    "--noEmit",
    "--target",
    "es2022",
    "--module",
    "esnext",
    "--moduleResolution",
    "bundler",
)
LIB = ("--lib", "es2022,dom")

PREAMBLE = f'import type {{ Event, Methods, Notifications }} from "{TYPES}";\ndeclare const event: Event;\n'


@pytest.fixture
def tsc(node: str) -> str:
    """The published compiler."""
    assert node
    return str(PEERS / "node_modules" / ".bin" / "tsc")


def _compile(tsc: str, source: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tsc, *OPTIONS, *LIB, str(source)], check=False, capture_output=True, text=True, timeout=60
    )


def _switch_over(tags: list[str]) -> str:
    """Give a function that handles these events, and says that there are no others."""
    cases = "\n".join(f'    case "{tag}": return event.seq;' for tag in tags)
    return (
        "export function seqOf(event: Event): number {\n"
        f"  switch (event.type) {{\n{cases}\n"
        "    default: { const none: never = event; return none; }\n  }\n}\n"
    )


def test_a_typed_client_compiles(tsc: str) -> None:
    compiled = _compile(tsc, PEERS / "client.ts")
    assert (compiled.returncode, compiled.stdout) == (0, "")


def test_a_switch_over_every_event_is_exhaustive(tsc: str, tmp_path: Path) -> None:
    source = tmp_path / "exhaustive.ts"
    source.write_text(PREAMBLE + _switch_over(list(TAGS)), encoding="utf-8")
    compiled = _compile(tsc, source)
    assert (compiled.returncode, compiled.stdout) == (0, "")


@pytest.mark.parametrize("forgotten", ["run_interrupted", "token_delta"])
def test_a_switch_that_forgets_an_event_is_refused(tsc: str, tmp_path: Path, forgotten: str) -> None:
    source = tmp_path / "forgetful.ts"
    source.write_text(PREAMBLE + _switch_over([tag for tag in TAGS if tag != forgotten]), encoding="utf-8")
    compiled = _compile(tsc, source)
    assert compiled.returncode != 0
    assert "error TS2322" in compiled.stdout
    assert "'never'" in compiled.stdout


@pytest.mark.parametrize(
    ("mistake", "error"),
    [
        ('if (event.type === "token_delta") { event.delta; }', "TS2339"),
        ('if (event.type === "run_completed") { event.error; }', "TS2339"),
        ('if (event.type === "run_exploded") { }', "TS2367"),
        ("const seq: string = event.seq;", "TS2322"),
        ('const created: Methods["session/create"]["params"] = {};', "TS2741"),
        ('const created: Methods["session/create"]["params"] = { cwd: "/", thinking: "very" };', "TS2322"),
        ('const created: Methods["session/create"]["params"] = { cwd: "/", cdw: "/" };', "TS2353"),
        ('declare const got: Methods["session/prompt"]["result"]; got.promptId * 2;', "TS2362"),
        ('type Exploded = Methods["session/explode"];', "TS2339"),
        ('declare const batch: Notifications["session/events"]; batch.sequence;', "TS2339"),
    ],
)
def test_a_mistake_is_refused(tsc: str, tmp_path: Path, mistake: str, error: str) -> None:
    source = tmp_path / "mistaken.ts"
    source.write_text(PREAMBLE + mistake + "\nexport {};\n", encoding="utf-8")
    compiled = _compile(tsc, source)
    assert compiled.returncode != 0
    reported = [line for line in compiled.stdout.splitlines() if "error TS" in line]
    assert [f"error {error}:" in line for line in reported] == [True], compiled.stdout
