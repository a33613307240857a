"""What the user has set for the command holds where no option says otherwise (docs/configuration.md)."""

import json
from pathlib import Path

import pytest
from shell_world import Home


def prefer(home: Home, text: str) -> None:
    """Write the user's configuration file."""
    path = Path(home.locations.file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)


def first_event(home: Home, session: str) -> dict[str, object]:
    logged = home.run("logs", session, "--format", "stream-json").stdout.splitlines()
    return json.loads(logged[1])  # Behind the line that names the session.


def test_a_new_session_has_the_mode_that_is_preferred_and_an_option_goes_before_it(home: Home) -> None:
    prefer(home, '[command]\nmode = "accept_edits"\n')
    preferred = home.run("run", "--detach", "say hello").stdout.strip()
    asked_for = home.run("run", "--detach", "--mode", "plan", "say hello").stdout.strip()
    assert first_event(home, preferred)["mode"] == "accept_edits"
    assert first_event(home, asked_for)["mode"] == "plan"


def test_an_existing_session_keeps_its_own_mode(home: Home) -> None:
    session = home.run("run", "--detach", "say hello").stdout.strip()
    prefer(home, '[command]\nmode = "plan"\n')
    assert home.run("run", "--session", session, "say more").returncode == 0
    logged = home.run("logs", session, "--format", "stream-json").stdout
    assert "plan" not in [json.loads(line).get("mode") for line in logged.splitlines()]


@pytest.mark.parametrize(("arguments", "is_json"), [((), True), (("--format", "text"), False)])
def test_run_prints_in_the_format_that_is_preferred(
    home: Home, arguments: tuple[str, ...], is_json: bool
) -> None:
    ran = home.run("run", *arguments, "say hello", env={"HOLDFAST_FORMAT": "json"})
    assert ran.returncode == 0
    assert ran.stdout.startswith("{") == is_json


def test_colour_that_is_preferred_is_shown_and_an_option_goes_before_it(home: Home) -> None:
    session = home.run("run", "--detach", "list .").stdout.strip()
    home.run("run", "--session", session, "say done")
    prefer(home, '[command]\ncolor = "always"\n')
    assert "\x1b[" in home.run("logs", session).stdout
    assert "\x1b[" not in home.run("logs", session, "--color", "never").stdout


def test_a_key_there_is_none_of_is_an_error_that_names_it_and_the_nearest(home: Home) -> None:
    prefer(home, '[command]\nmodul = "x"\n')
    ran = home.run("run", "say hello")
    assert ran.returncode == 1
    assert "modul" in ran.stderr
    assert "did you mean command.mod" in ran.stderr
    assert home.run("version").returncode == 0
