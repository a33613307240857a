"""Help texts, the manual made of them, and completion scripts in real shells."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from shell_world import Home

from holdfast_client.shell import (
    commands,
    completion_scripts,
    documents,
    exit_codes,
    here,
    manual,
    roff,
    usage_text,
)
from holdfast_client.shell.arguments import Spec
from holdfast_client.shell.usage_text import Row
from holdfast_protocol import schema

ROOT = Path(__file__).parents[2]

SPECS: dict[str, Spec] = {name: commands.load(name).SPEC for name in commands.SUMMARIES}

COLUMNS = 80


# Help texts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*SPECS, "(bare)", "(overview)"])
def test_help_fits_a_narrow_terminal(name: str) -> None:
    spec = SPECS.get(name)
    text = {"(bare)": here.SPEC.usage, "(overview)": commands.overview()}.get(name) or spec.usage

    assert [line for line in text.splitlines() if len(line) > COLUMNS] == []


@pytest.mark.parametrize("name", SPECS)
def test_every_option_has_a_row_that_says_what_it_means(name: str) -> None:
    spec = SPECS[name]
    rows = {
        word.partition(" ")[0]: row.meaning
        for row in usage_text.read(spec.usage).rows()
        for word in row.term.split(", ")
    }

    for option in [*spec.flags, *spec.options]:
        assert rows.get(option), option


@pytest.mark.parametrize("name", SPECS)
def test_a_help_text_begins_with_the_command_and_shows_what_its_options_take(name: str) -> None:
    spec = SPECS[name]
    usage = usage_text.read(spec.usage)
    terms = [word for row in usage.rows() for word in row.term.split(", ")]

    assert all(way.startswith(f"holdfast {name}") for way in usage.ways)
    longest = {stored: option for option, stored in spec.options.items()}.values()
    assert [option for option in longest if not any(term.startswith(f"{option} ") for term in terms)] == []
    assert [flag for flag in spec.flags if any(term.startswith(f"{flag} ") for term in terms)] == []


def test_a_help_text_is_read_back_as_ways_paragraphs_and_rows() -> None:
    text = """\
holdfast x A
           [B]
holdfast x --c

One
two.

  -a, --all N   first;
                second
  --b           third
"""

    assert usage_text.read(text) == usage_text.Usage(
        ["holdfast x A [B]", "holdfast x --c"],
        ["One two.", [Row("-a, --all N", "first; second"), Row("--b", "third")]],
    )


# The manual -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["commands.md", "holdfast.1"])
def test_the_manual_is_fresh(name: str) -> None:
    """If this fails: python -m holdfast_client.shell.manual."""
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == manual.texts()[name]


def test_the_manual_has_every_command_option_and_exit_code() -> None:
    for text in manual.texts().values():
        plain = text.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "")
        for name, spec in SPECS.items():
            assert f"holdfast {name}" in plain
            assert [option for option in [*spec.flags, *spec.options] if option not in plain] == []
        assert all(meaning.replace("-", "-") in plain for meaning in exit_codes.MEANINGS.values())


def test_every_exit_code_has_a_meaning() -> None:
    codes = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}

    assert codes == set(exit_codes.MEANINGS) == {0, 1, 2, 3, 4, 5, 6, 69, 75, 130}


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_man_page_is_formatted_without_a_warning() -> None:
    ran = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-P-c"],
        input=manual.man_page().encode(),
        capture_output=True,
        timeout=60,
        check=True,
    )
    shown = re.sub(r".\x08", "", ran.stdout.decode())

    assert ran.stderr == b""
    assert "Follow a session: its history" in " ".join(shown.split())
    assert "--since SEQ" in shown


@pytest.mark.parametrize(("plain", "escaped"), [(".x", "\\&.x"), ("a-b", "a\\-b"), ("\\n", "\\en")])
def test_no_text_acts_on_roff(plain: str, escaped: str) -> None:
    assert roff.text(plain) == escaped


# Schemas --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("style", "file"),
    [("json-schema", "schema.json"), ("openrpc", "openrpc.json"), ("typescript", "holdfast.d.ts")],
)
def test_the_printed_schema_is_the_protocol_s(home: Home, style: str, file: str) -> None:
    printed = home.run("schema", "--as", style).stdout
    shipped = (ROOT / "protocol" / "schema" / file).read_text(encoding="utf-8")

    assert (printed if file.endswith(".ts") else json.loads(printed)) == (
        shipped if file.endswith(".ts") else json.loads(shipped)
    )


def test_the_schema_of_every_document_has_all_types_it_names_and_no_others() -> None:
    types = schema.json_schema()["$defs"]
    for name in documents.DOCUMENTS:
        bundle = documents.bundle(name, types)
        named = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(bundle)))

        assert named == set(bundle.get("$defs", {})), name


def test_the_printed_schema_of_a_document_is_the_one_documents_are_checked_against(home: Home) -> None:
    assert json.loads(home.run("schema", "ps").stdout) == documents.bundle(
        "ps", schema.json_schema()["$defs"]
    )


# Completion -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", completion_scripts.MAKERS)
def test_a_completion_script_has_every_command_and_option(shell: str) -> None:
    script = completion_scripts.MAKERS[shell](completion_scripts.words())

    for name, spec in SPECS.items():
        assert name in script
        for option in [*spec.flags, *spec.options]:
            spelled = option if shell != "fish" else option.lstrip("-")
            assert spelled in script, f"{name} {option}"


@pytest.mark.parametrize("shell", completion_scripts.MAKERS)
def test_a_shell_reads_its_completion_script(home: Home, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = home.path / "script"
    path.write_text(home.run("completion", shell).stdout)
    ran = subprocess.run([shell, "-n", path], capture_output=True, text=True, timeout=60, check=False)

    assert (ran.returncode, ran.stderr) == (0, "")


def completed(home: Home, *words: str) -> set[str]:
    """Give what bash offers for the last of these words."""
    script = home.run("completion", "bash").stdout
    quoted = " ".join(f"'{word}'" for word in ("holdfast", *words))
    ask = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _holdfast; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    bin_directory = Path(home.command()[0]).parent
    ran = subprocess.run(
        ["bash", "--norc", "-c", f"{script}\n{ask}"],
        env={**home.environ, "PATH": f"{bin_directory}:{home.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stderr == ""
    return set(ran.stdout.split())


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_commands_options_and_values(home: Home) -> None:
    assert completed(home, "") == set(commands.SUMMARIES)
    assert completed(home, "ap") == {"approvals", "approve"}
    assert completed(home, "logs", "x", "--f") == {"--follow", "--format"}
    assert completed(home, "run", "--mode", "a") == {"ask", "accept_edits", "auto"}
    assert completed(home, "run", "--model", "a") == set()
    assert completed(home, "completion", "") == {"bash", "zsh", "fish"}
    assert completed(home, "help", "ren") == {"rename"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_options_without_a_command_and_settings(home: Home) -> None:
    assert completed(home, "--col") == {"--color"}
    assert completed(home, "--color", "a") == {"auto", "always"}
    assert completed(home, "config", "") == {"list", "get", "set", "unset", "path"}
    assert completed(home, "config", "set", "command.mo") == {"command.mode", "command.model"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_sessions_and_requests_and_starts_no_daemon(home: Home) -> None:
    assert completed(home, "logs", "") == set()
    assert home.status()["running"] is False

    asking = home.run("run", "write a.txt: a").stderr.partition("holdfast approve ")[2].partition("/")[0]

    assert completed(home, "logs", "") == {asking[:8]}
    assert completed(home, "run", "--resume", asking[:4]) == {asking[:8]}
    assert completed(home, "approve", asking[:4]) == {f"{asking[:8]}/r1-m1-t1-q"}
