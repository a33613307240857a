"""What is shown of questions that are about no tool, how a form is filled in, and `holdfast trust`."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from shell_world import Home

from fakes import mcp_server
from holdfast_client.shell import advice, answers, inquiry, proposal

FORM = {
    "question": "elicitation",
    "server": "test",
    "message": "When?",
    "schema": {
        "type": "object",
        "properties": {
            "year": {"type": "integer", "description": "four digits"},
            "share": {"type": "number"},
            "sure": {"type": "boolean"},
            "colour": {"type": "string", "enum": ["red", "green"]},
            "days": {"type": "array", "items": {"type": "string", "enum": ["mo", "tu"]}},
        },
        "required": ["year"],
    },
}


def request(kind: str, detail: dict[str, Any], *options: tuple[str, str]) -> dict[str, Any]:
    named = [{"id": name, "label": name, "kind": how} for name, how in options]
    return {"requestId": "r1", "kind": kind, "title": "t", "detail": detail, "options": named}


# Showing --------------------------------------------------------------------------------------------------


def test_a_question_of_trust_shows_the_directory_and_what_it_has() -> None:
    detail = {"question": "trust", "directory": "/srv/x\x1b", "has": [".holdfast/plugins", "AGENTS.md"]}

    shown = proposal.lines(request("permission", detail))

    assert shown[0] == "/srv/x<ESC>"
    assert shown[2].startswith(".holdfast/plugins")
    assert "run code" in shown[2]
    assert shown[3].startswith("AGENTS.md")


def test_a_form_shows_who_asks_what_and_its_fields() -> None:
    assert proposal.lines(request("form", FORM)) == [
        "When?",
        "year (integer, required): four digits",
        "share (number)",
        "sure (boolean)",
        "colour (one of red, green)",
        "days (some of mo, tu)",
    ]


def test_a_question_about_an_address_shows_it() -> None:
    detail = {"question": "elicitation", "message": "Sign in.", "url": "https://example.org/"}

    assert proposal.lines(request("question", detail)) == ["Sign in.", "open: https://example.org/"]


def test_no_mode_would_have_trusted_a_directory() -> None:
    trust = request("permission", {"question": "trust"}, ("allow_always", "allow_always"), ("deny", "deny"))

    assert "--mode" not in advice.needs_answer("s", {"r1": trust})


def test_a_form_can_only_be_declined_by_a_letter() -> None:
    form = request("form", FORM, ("accept", "choice"), ("decline", "choice"))

    assert answers.outcome(form, "1") == "decline"
    assert answers.offer(form).startswith("1 decline; holdfast approve r1 --values")


# Filling in -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("year=1999", {"year": 1999}),
        (
            "year=1999 share=0.5 sure=yes colour=red",
            {"year": 1999, "share": 0.5, "sure": True, "colour": "red"},
        ),
        ("year=1 days=mo,tu", {"year": 1, "days": ["mo", "tu"]}),
        ('{"year": 1999, "sure": false}', {"year": 1999, "sure": False}),
    ],
)
def test_words_and_json_fill_a_form_in(text: str, values: dict[str, Any]) -> None:
    assert inquiry.values(FORM, text) == values


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "year is missing"),
        ("year=soon", "year is a number"),
        ("year=1 sure=perhaps", "sure is yes or no"),
        ("year=1 colour=blue", "colour is one of red, green"),
        ("year=1 days=mo,su", "days is one of mo, tu"),
        ("year=1 share=nan", "share is a number"),
        ('{"year": NaN}', "no JSON object"),
        ("year=1 moon=full", "there is no field moon"),
        ("1999", "NAME=VALUE"),
        ("{year}", "no JSON object"),
        ("year='1", "quotation marks"),
    ],
)
def test_what_does_not_fill_a_form_in_says_why(text: str, reason: str) -> None:
    with pytest.raises(inquiry.Misfit, match=reason):
        inquiry.values(FORM, text)


def test_a_form_with_one_field_takes_its_value_as_it_stands() -> None:
    one = {"schema": {"properties": {"name": {"type": "string"}}, "required": ["name"]}}

    assert inquiry.values(one, "Ada = Lovelace") == {"name": "Ada = Lovelace"}
    assert inquiry.values(one, "name=Ada") == {"name": "Ada"}
    with pytest.raises(inquiry.Misfit):
        inquiry.values(one, " ")


# With the daemon ------------------------------------------------------------------------------------------


def asked(home: Home, *arguments: str) -> str:
    """Run a prompt until it waits for a person; give the session."""
    return json.loads(home.run("run", "--json", *arguments).stdout)["sessionId"]


def status(home: Home, session: str) -> str:
    """Wait for the end of a session's run; give what its last event is."""
    with home.start("logs", session, "-f", "--format", "stream-json") as follow:
        for line in follow.stdout:
            kind = json.loads(line)["type"]
            if kind in ("run_completed", "run_failed"):
                break
        follow.terminate()
        follow.communicate(timeout=60)
    return kind


def test_a_project_is_trusted_by_approve_listed_and_trusted_no_longer(home: Home) -> None:
    (home.path / "AGENTS.md").write_text("Be brief.\n")
    session = asked(home, "say hi")

    shown = home.run("approvals", "-v").stdout
    assert f"Trust {home.path.resolve()}?" in shown
    assert "AGENTS.md  (instructions for agents)" in shown
    assert home.run("trust", "list").stdout.split() == ["SINCE", "DIRECTORY"]
    assert home.run("approve", session).returncode == 0
    assert status(home, session) == "run_completed"
    (listed,) = json.loads(home.run("trust", "list", "--json").stdout)["directories"]
    assert listed["path"] == str(home.path.resolve())
    assert home.run("trust", "list").stdout.splitlines()[1].endswith(listed["path"])
    removed = home.run("trust", "remove", ".", "--json")
    assert json.loads(removed.stdout) == {"path": str(home.path), "removed": True}
    assert home.run("trust", "remove", ".").returncode == 1


def test_a_form_is_filled_in_by_approve(home: Home) -> None:
    config = Path(home.locations.config)
    config.mkdir(mode=0o700, parents=True, exist_ok=True)
    server = (
        f'[[mcp_servers]]\nname = "test"\ncommand = "{sys.executable}"\nargs = ["{mcp_server.__file__}"]\n'
    )
    (config / "config.toml").write_text(f'[sandbox]\nmode = "off"\n\n{server}')
    (config / "config.toml").chmod(0o600)
    session = asked(
        home, "--mode", "auto", "script:\n  - call: {tool: mcp__test__ask, input: {}}\n  - text: Done."
    )

    shown = home.run("approvals", "-v").stdout
    assert "Which colour?" in shown
    assert "colour (string, required)" in shown
    missing = home.run("approve", session)
    assert (missing.returncode, "colour is missing" in missing.stderr) == (2, True)
    assert home.run("approve", session, "--values", "green").returncode == 0
    assert status(home, session) == "run_completed"
    assert "accept green" in home.run("logs", session, "--format", "stream-json").stdout
