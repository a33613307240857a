"""The daemon's own start: what it takes from file, environment and flags, and how it refuses."""

import json
from argparse import Namespace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon import config_sources
from holdfast_daemon.config import Config, HookSpec, NetLimits
from holdfast_daemon.config_keys import config_of
from holdfast_daemon.flags import flags_of, parser
from holdfast_protocol.settings.resolve import KEYS, BadSettings, Flag, resolve

HERE = str(Path(__file__).parent)


def load(home, text=None, environ=None, arguments=()):
    """Load as `holdfastd` does."""
    path = home.write(text) if text is not None else home.file
    return config_sources.load(
        path,
        environ or {},
        list(flags_of(parser().parse_args(arguments))),
        must_exist=False,
        state_dir="/state",
        runtime_dir=None,
        stdio=False,
    )


def test_without_a_file_the_settings_are_the_defaults(home):
    assert load(home) == Config(state_dir="/state")


def test_every_default_said_aloud_changes_nothing():
    flags = [
        Flag("--set", key.name, "off" if key.default is None else str(key.default))
        for key in KEYS.values()
        if key.kind in ("integer", "number", "string") and (key.default is not None or key.may_be_off)
    ]
    assert len(flags) > 60
    assert config_of(resolve(None, {}, flags), state_dir="/") == Config(state_dir="/")


@given(st.data())
def test_a_setting_given_anywhere_is_in_the_daemons_own_type(data):
    limits = [key for key in KEYS.values() if key.section == "net" and key.kind == "integer"]
    key = data.draw(st.sampled_from(limits))
    value = data.draw(st.integers(2**21, 2**30))  # Above what must be below it.
    config = config_of(resolve(None, {key.variable: str(value)}), state_dir="/")
    assert getattr(config.net, key.bare) == value
    assert config.net == NetLimits(**{key.bare: value})


def test_a_whole_file_is_in_the_daemons_own_type(home, monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    config = load(
        home,
        """
        [listen]
        tcp = 0
        ws_origins = ["https://a.example"]
        [daemon]
        idle_exit_s = "off"
        [hub]
        block_timeout_s = 2
        [[hooks]]
        event = "pre_tool_use"
        target = "sample_hook:watch"
        timeout_s = 1
        [command]
        mode = "plan"
        """,
    )
    assert (config.tcp, config.ws, config.idle_exit_s) == (0, None, None)
    assert config.ws_origins == ("https://a.example",)
    assert config.hub.block_timeout_s == 2.0
    assert config.hooks == (HookSpec(event="pre_tool_use", target="sample_hook:watch", timeout_s=1.0),)


def test_flags_go_before_everything(home, monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    config = load(
        home,
        '[listen]\ntcp = 1\nws = 2\n[[hooks]]\nevent = "post_tool_use"\ntarget = "sample_hook:watch"',
        {"HOLDFAST_TCP": "3", "HOLDFAST_WS": "4"},
        [
            "--tcp",
            "--idle-exit",
            "0",
            "--hook",
            "pre_tool_use=sample_hook:watch",
            "--set",
            "hub.subscribers_max=7",
        ],
    )
    assert (config.tcp, config.ws, config.idle_exit_s) == (0, 4, None)
    assert [hook.event for hook in config.hooks] == ["pre_tool_use"]
    assert config.hub.subscribers_max == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[daemon]\ndefault_model = "offline/rehersal"', "no such model, did you mean offline/rehearsal?"),
        ('[daemon]\ndefault_agent = "chta"', "no such agent, did you mean chat?"),
        ('[listen]\nws_origins = ["https://a.example:99999"]', "listen.ws_origins: "),
        ('[[hooks]]\nevent = "pre_tool_use"\ntarget = "no_such_module:f"', "hooks: no hook no_such_module:f"),
    ],
)
def test_a_setting_that_names_what_is_not_there_is_refused_with_its_line(home, text, message):
    with pytest.raises(BadSettings) as raised:
        load(home, text)
    (problem,) = raised.value.problems
    assert problem.place in {f"{home.file}:1", f"{home.file}:2"}
    assert message in problem.message


def test_no_hook_means_no_flag():
    assert (
        list(flags_of(Namespace(set=[], tcp=None, ws=None, ws_origin=None, idle_exit=None, hook=None))) == []
    )


# The process ----------------------------------------------------------------------------------------------


def test_a_daemon_with_a_bad_file_refuses_in_one_line_with_exit_code_78(home):
    home.write("[net]\nconections_max = 5\n")

    ended = home.daemon()

    assert ended.returncode == 78
    assert ended.stdout == ""
    assert ended.stderr == (
        f"holdfastd: {home.file}:2: unknown key net.conections_max, did you mean net.connections_max?\n"
    )
    assert not Path(home.locations.state).exists()


def test_a_file_that_others_may_write_is_refused(home):
    home.write("").chmod(0o666)
    ended = home.daemon()
    assert ended.returncode == 78
    assert "nobody else may write it" in ended.stderr


def test_a_directory_in_the_files_place_is_refused(home):
    home.file.mkdir(parents=True)
    ended = home.daemon()
    assert ended.returncode == 78
    assert "not a file" in ended.stderr


def test_a_wrong_flag_is_a_usage_error(home):
    ended = home.daemon("--tcp", "99999")
    assert ended.returncode == 2
    assert "--tcp: listen.tcp: expected" in ended.stderr


def test_a_wrong_variable_is_named(home):
    ended = home.daemon(env={"HOLDFAST_IDLE_EXIT_S": "soon"})
    assert ended.returncode == 78
    assert "HOLDFAST_IDLE_EXIT_S: daemon.idle_exit_s: expected" in ended.stderr


def test_a_file_that_was_named_must_exist(home):
    ended = home.daemon("--config", "missing.toml")
    assert ended.returncode == 78
    assert "missing.toml: there is no such file" in ended.stderr


def test_a_named_file_stands_in_for_the_users(home):
    home.write("nonsense")
    (home.path / "other.toml").write_text("also nonsense")
    assert "other.toml:1" in home.daemon("--config", "other.toml").stderr


def test_a_daemon_ends_as_idle_when_its_file_says(home):
    home.write("[daemon]\nidle_exit_s = 0.05\n")
    assert home.daemon().returncode == 0


def test_an_empty_name_reads_no_file(home):
    home.write("nonsense")
    assert home.daemon("--config", "", "--idle-exit", "0.05").returncode == 0


def test_a_client_that_starts_the_daemon_shows_its_line(home):
    home.write("[net]\nconnections_max = 0\n[command]\n")
    ran = home.run("socket")
    assert ran.returncode == 69
    assert f"{home.file}:2: net.connections_max: expected a whole number from 1" in ran.stderr


def test_limits_of_the_file_hold_in_the_daemon_that_is_started(home):
    home.write("[sessions]\nqueued_prompts_max = 3\n[listen]\ntcp = 0\n")
    socket = json.loads(home.run("socket", "--json").stdout)
    assert socket["tcp"][0] == "127.0.0.1"
    rows = json.loads(home.run("doctor", "--json").stdout)["checks"]
    assert rows["daemonSettings"]["status"] == "ok"
    home.write("[sessions]\nqueued_prompts_max = 4\n")
    rows = json.loads(home.run("doctor", "--json").stdout)["checks"]
    assert rows["daemonSettings"]["summary"].endswith(
        "sessions.queued_prompts_max is 3 in the daemon, 4 here"
    )


def test_a_sidecar_reads_neither_the_users_file_nor_variables(home):
    home.write("nonsense")
    ended = home.daemon("--stdio", "--state", str(home.path / "own"), env={"HOLDFAST_TCP": "nonsense"})
    assert ended.returncode == 0, ended.stderr


def test_a_sidecar_reads_a_file_it_is_given(home):
    home.write("nonsense")
    ended = home.daemon("--stdio", "--state", str(home.path / "own"), "--config", str(home.file))
    assert ended.returncode == 78
