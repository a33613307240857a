"""What is generated is fresh, and what stands in two places is the same."""

import re
from pathlib import Path
from typing import get_args

import pytest

from holdfast_client.shell import prompt_input, report, screen, settings
from holdfast_daemon import config_document
from holdfast_daemon.config import NOT_OVER
from holdfast_protocol.events.base import Mode
from holdfast_protocol.settings.resolve import KEYS

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / config_document.DOCUMENT).read_text(encoding="utf-8")


def test_the_clients_key_table_is_fresh():
    """If this fails: `python -m holdfast_daemon.config_document`."""
    assert (ROOT / config_document.TABLE).read_text(encoding="utf-8") == config_document.table()


def test_the_tables_of_the_documentation_are_fresh():
    """If this fails: `python -m holdfast_daemon.config_document`."""
    assert config_document.document(DOCUMENT) == DOCUMENT


@pytest.mark.parametrize("key", KEYS.values(), ids=lambda key: key.name)
def test_every_setting_is_documented_once_with_its_variable(key):
    if key.kind == "tables":
        assert f"## `[[{key.name}]]`" in DOCUMENT
    else:
        rows = [
            line
            for line in DOCUMENT.splitlines()
            if line.startswith(f"| `{key.name}` | ") and key.variable in line
        ]
        assert len(rows) == 1


def test_no_two_settings_share_a_variable():
    variables = [key.variable for key in KEYS.values() if key.variable]
    assert len(variables) == len(set(variables))
    assert all(re.fullmatch(r"HOLDFAST_[A-Z_]+", name) for name in variables)  # What an autostart hands on.


def test_no_variable_can_bring_code():
    assert KEYS["hooks"].variable == ""


def test_no_variable_opens_the_sandbox_or_has_keys_sent_elsewhere():
    guarded = [key for key in KEYS.values() if key.section in ("sandbox", "fetch", "base_urls")]
    assert len(guarded) > 10
    assert all(key.variable == "" for key in guarded)


def test_every_flag_of_a_setting_is_one_the_daemon_has():
    from holdfast_daemon.flags import parser

    flags = {flag for action in parser()._actions for flag in action.option_strings}
    assert {key.flag for key in KEYS.values() if key.flag} <= flags


def test_limits_that_bound_each_other_are_settings():
    assert {*NOT_OVER, *NOT_OVER.values()} <= set(KEYS)


def test_the_commands_choices_are_those_of_its_options():
    assert KEYS["command.mode"].choices == get_args(Mode) == prompt_input.MODES
    assert KEYS["command.format"].choices == report.FORMATS
    assert KEYS["command.color"].choices == screen.COLOR_MODES


def test_the_variables_looked_for_without_reading_the_settings_are_those_of_the_command():
    assert set(settings._VARIABLES) == {key.variable for key in KEYS.values() if key.is_of_command}
