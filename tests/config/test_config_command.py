"""`holdfast config`: looks at settings and changes the file, comments and order kept."""

import json
import stat
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from holdfast_client.shell import config_file
from holdfast_client.shell.exit_codes import CommandFailed, UsageError
from holdfast_protocol.settings.resolve import KEYS, BadSettings, File, resolve

COMMENTED = """\
# My settings.

[listen]  # where
tcp = 7717  # for the editor

# The rest
[net]
# few
connections_max = 12   # twelve
requests_in_flight_max = 3
"""


def rows(home, *arguments, env=None):
    ran = home.run("config", "list", "--json", *arguments, env=env)
    assert ran.returncode == 0, ran.stderr
    return {row["key"]: row for row in json.loads(ran.stdout)["settings"]}


# Looking --------------------------------------------------------------------------------------------------


def test_the_list_says_value_default_and_origin_of_every_setting(home):
    home.write(COMMENTED)
    found = rows(home, env={"HOLDFAST_TCP": "9"})
    assert list(found) == list(KEYS)
    assert found["listen.tcp"]["value"] == 9
    assert found["listen.tcp"]["origin"] == {"layer": "environment", "place": "HOLDFAST_TCP"}
    assert found["net.connections_max"]["origin"] == {"layer": "file", "place": f"{home.file}:9"}
    assert found["net.connections_max"]["default"] == 1024
    assert found["daemon.idle_exit_s"]["origin"] == {"layer": "default", "place": None}


def test_the_list_can_leave_out_what_is_a_default(home):
    home.write(COMMENTED)
    assert list(rows(home, "--changed")) == [
        "listen.tcp",
        "net.connections_max",
        "net.requests_in_flight_max",
    ]
    lines = home.run("config", "list", "--changed").stdout.splitlines()
    assert lines[0].split() == ["KEY", "VALUE", "DEFAULT", "ORIGIN"]
    assert lines[2].split() == ["net.connections_max", "12", "1024", f"{home.file}:9"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("listen.tcp", "7717"), ("listen.ws", "off"), ("daemon.idle_exit_s", "600"), ("command.model", "")],
)
def test_a_value_is_printed_as_it_would_be_set(home, name, shown):
    home.write(COMMENTED)
    assert home.run("config", "get", name).stdout == f"{shown}\n"


def test_the_path_is_printed_whether_or_not_the_file_exists(home):
    assert home.run("config", "path").stdout == f"{home.file}\n"
    assert not home.file.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("get", "listen.tpc"), "unknown key listen.tpc, did you mean listen.tcp?"),
        (("set", "listen.tpc", "1"), "unknown key listen.tpc, did you mean listen.tcp?"),
        (("set", "listen.tcp", "99999"), 'listen.tcp: expected "off" or a whole number from 0 to 65535'),
        (("set", "listen.tcp", "1", "2"), "listen.tcp takes one value, not 2"),
        (("set", "hooks", "x"), "hooks is a list of tables; edit"),
        (("set", "listen.tcp"), "wrong number of arguments"),
        (("unset", "listen.tcp"), "listen.tcp is not set"),
        (("lst",), "did you mean list?"),
        ((), "something is missing"),
    ],
)
def test_a_mistake_is_a_usage_error_and_writes_nothing(home, arguments, message):
    ran = home.run("config", *arguments)
    assert ran.returncode == 2
    assert message in ran.stderr
    assert not home.file.exists()


def test_a_broken_file_is_told_with_its_line(home):
    home.write("[net\n")
    ran = home.run("config", "list")
    assert ran.returncode == 1
    assert f"{home.file}:1: " in ran.stderr


# Changing -------------------------------------------------------------------------------------------------


def test_setting_a_value_changes_that_value_and_nothing_else(home):
    home.write(COMMENTED)
    assert home.run("config", "set", "net.connections_max", "13").returncode == 0
    assert home.file.read_text() == COMMENTED.replace("connections_max = 12 ", "connections_max = 13 ")


def test_unsetting_a_value_keeps_the_rest(home):
    home.write(COMMENTED)
    assert home.run("config", "unset", "net.requests_in_flight_max").returncode == 0
    assert home.file.read_text() == COMMENTED.replace("requests_in_flight_max = 3\n", "")


def test_several_values_make_a_list(home):
    home.run("config", "set", "listen.ws_origins", "https://a.example", "https://b.example")
    origins = tomllib.loads(home.file.read_text())["listen"]["ws_origins"]
    assert origins == ["https://a.example", "https://b.example"]


def test_the_file_and_its_directory_are_made_private(home):
    assert home.run("config", "set", "daemon.idle_exit_s", "off").returncode == 0
    assert stat.S_IMODE(home.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.file.parent.stat().st_mode) == 0o700
    assert list(home.file.parent.iterdir()) == [home.file]
    assert home.file.read_text() == '[daemon]\nidle_exit_s = "off"\n'


def test_a_link_is_followed_and_stays_one(home):
    real = home.path / "dotfiles.toml"
    real.write_text("# mine\n")
    home.file.parent.mkdir(mode=0o700)
    home.file.symlink_to(real)
    assert home.run("config", "set", "listen.tcp", "5").returncode == 0
    assert home.file.is_symlink()
    assert tomllib.loads(real.read_text()) == {"listen": {"tcp": 5}}


def test_a_value_that_contradicts_another_is_refused(home):
    home.write(COMMENTED)
    ran = home.run("config", "set", "execution.timeout_s", "5000")
    assert ran.returncode == 2
    assert "execution.timeout_s: 5000.0 is over execution.timeout_s_max" in ran.stderr
    assert home.file.read_text() == COMMENTED


def test_a_mistake_can_be_taken_out_and_others_are_told(home):
    home.write("[net]\nconections_max = 1\nother = 2\n")
    ran = home.run("config", "unset", "net.conections_max")
    assert ran.returncode == 0
    assert f"still wrong: {home.file}:2: unknown key net.other" in ran.stderr
    assert home.file.read_text() == "[net]\nother = 2\n"


def test_a_variable_that_goes_before_the_file_is_named(home):
    ran = home.run("config", "set", "listen.tcp", "5", env={"HOLDFAST_TCP": "6"})
    assert ran.returncode == 0
    assert "HOLDFAST_TCP is set, and goes before the file" in ran.stderr


def test_a_file_that_is_no_toml_is_not_touched(home):
    home.write("[net\n")
    ran = home.run("config", "set", "listen.tcp", "5")
    assert ran.returncode == 1
    assert home.file.read_text() == "[net\n"


def test_a_file_that_cannot_be_replaced_stays_and_leaves_nothing_beside_it(home, monkeypatch):
    home.write(COMMENTED)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(config_file.os, "fsync", refuse)
    with pytest.raises(CommandFailed, match="No space left"):
        config_file.change(str(home.file), "listen.tcp", KEYS["listen.tcp"], 5)
    assert home.file.read_text() == COMMENTED
    assert list(home.file.parent.iterdir()) == [home.file]


def test_changes_at_once_are_all_made(home):
    names = [key.name for key in KEYS.values() if key.section == "net" and key.kind == "integer"][1:]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: config_file.change(str(home.file), name, KEYS[name], 77), names))
    assert len(names) > 5
    assert tomllib.loads(home.file.read_text())["net"] == {KEYS[name].bare: 77 for name in names}


def test_without_the_library_the_command_says_what_to_install(home):
    blocked = home.path / "blocked"
    blocked.mkdir()
    (blocked / "tomlkit.py").write_text("raise ImportError\n")
    ran = home.run("config", "set", "listen.tcp", "5", env={"PYTHONPATH": str(blocked)})
    assert ran.returncode == 1
    assert "install holdfast-client[config]" in ran.stderr


comments = st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=10).map("# {}".format)
numbers = st.integers(2**21, 2**25)
net_names = st.sampled_from(
    [key.bare for key in KEYS.values() if key.section == "net" and key.kind == "integer"]
)


@st.composite
def files(draw):
    """A valid file of commented sections, and all comments in it."""
    lines, said = [], []
    sections = {
        "net": draw(st.dictionaries(net_names, numbers, max_size=4)),
        "listen": {"tcp": 5},
        "command": {},
    }
    for section in draw(st.permutations(sorted(sections))):
        for text in [f"[{section}]", *(f"{name} = {value}" for name, value in sections[section].items())]:
            above, beside = draw(comments), draw(comments)
            said += [above, beside]
            lines += [above, f"{text}  {beside}"]
    return "\n".join([*lines, ""]), said


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files(), net_names, numbers)
def test_a_change_and_its_way_back_keep_every_other_value_and_every_comment(home, made, bare, value):
    text, said = made
    key = KEYS[f"net.{bare}"]
    before = tomllib.loads(text)
    assume(bare not in before["net"])
    home.write(text)

    config_file.change(str(home.file), key.name, key, value)
    changed = home.file.read_text()
    config_file.change(str(home.file), key.name, None, None)
    restored = home.file.read_text()

    assert tomllib.loads(changed) == {**before, "net": {**before["net"], bare: value}}
    assert tomllib.loads(restored) == before
    assert all(comment in changed and comment in restored for comment in said)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from("[]net=.\"'#\n tcp1{},"), max_size=60))
def test_whatever_stands_in_the_file_a_change_is_exact_or_refused(home, text):
    home.write(text)
    key = KEYS["net.connections_max"]
    try:
        config_file.change(str(home.file), key.name, key, 9)
    except (UsageError, CommandFailed):
        assert home.file.read_text() == text
        return
    before, after = tomllib.loads(text), tomllib.loads(home.file.read_text())
    assert after == {**before, "net": {**before.get("net", {}), "connections_max": 9}}


# What commands take from it -------------------------------------------------------------------------------

PROBE = """
import sys
from holdfast_client.shell.settings import preferences
print(preferences({path!r}, {environ!r}))
print(" ".join(sorted(sys.modules)))
"""
SLOW = {"tomllib", "tomlkit", "difflib", "holdfast_protocol.settings.resolve", "msgspec", "pathlib"}


def test_without_a_file_preferences_cost_no_import(home):
    given_back, imported = home.run_python(PROBE, path=str(home.file), environ={}).splitlines()
    assert given_back == "{}"
    assert not SLOW & set(imported.split())


def test_preferences_are_what_the_user_set_and_need_no_library(home):
    home.write('[command]\nmode = "plan"\n')
    found, imported = home.run_python(
        PROBE, path=str(home.file), environ={"HOLDFAST_COLOR": "never"}
    ).splitlines()
    assert found == "{'mode': 'plan', 'color': 'never'}"
    assert not {"tomlkit", "difflib", "msgspec", "asyncio", "pathlib"} & set(imported.split())


def test_looking_at_settings_needs_no_library(home):
    ran = home.run_python(
        "import sys; sys.argv = ['holdfast', 'config', 'list']\n"
        "from holdfast_client.shell.__main__ import main\n"
        "main(); print('\\n' + ' '.join(sys.modules))"
    )
    assert not {"tomlkit", "msgspec", "anyio", "asyncio"} & set(ran.splitlines()[-1].split())


def test_a_file_the_command_wrote_is_one_the_daemon_reads(home):
    for name, words in {
        "listen.tcp": ["0"],
        "daemon.idle_exit_s": ["0.05"],
        "hub.block_timeout_s": ["2"],
    }.items():
        assert home.run("config", "set", name, *words).returncode == 0
    try:
        resolve(File("x", Path(home.file).read_text()), {})
    except BadSettings as error:
        pytest.fail(str(error))
    assert home.daemon().returncode == 0
