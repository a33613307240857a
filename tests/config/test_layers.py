"""Who gives a value: flag, variable, file, default; and what is said of what cannot be."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_protocol.settings.resolve import KEYS, BadSettings, File, Flag, Origin, Problem, resolve
from holdfast_protocol.settings.trusted import FILE_BYTES_MAX, trusted

PRIVATE = 0o100600


def problems(text="", environ=None, flags=()):
    with pytest.raises(BadSettings) as raised:
        resolve(File("c.toml", text), environ or {}, flags)
    return raised.value.problems


def test_without_anything_every_value_is_its_default():
    settings = resolve(None, {})
    assert list(settings) == list(KEYS)
    assert all(setting.value == setting.key.default for setting in settings.values())
    assert {setting.origin for setting in settings.values()} == {Origin("default")}


@given(st.sets(st.sampled_from(["file", "environment", "flag"])))
def test_a_flag_goes_before_a_variable_before_the_file_before_the_default(layers):
    file = File("c.toml", "\n[net]\nconnections_max = 1") if "file" in layers else None
    environ = {"HOLDFAST_NET_CONNECTIONS_MAX": "2"} if "environment" in layers else {}
    flags = [Flag("--set", "net.connections_max", "3")] if "flag" in layers else []

    found = resolve(file, environ, flags)["net.connections_max"]

    wanted = [
        (3, Origin("flag", "--set"), "flag"),
        (2, Origin("environment", "HOLDFAST_NET_CONNECTIONS_MAX"), "environment"),
        (1, Origin("file", "c.toml:3"), "file"),
        (1024, Origin("default"), "default"),
    ]
    value, origin, _ = next(want for want in wanted if want[2] in {*layers, "default"})
    assert (found.value, found.origin) == (value, origin)


def test_an_empty_variable_counts_as_not_set():
    assert resolve(None, {"HOLDFAST_TCP": ""})["listen.tcp"].origin == Origin("default")


def test_a_variable_that_is_no_setting_is_left_to_whoever_made_it():
    assert resolve(None, {"HOLDFAST_ELSE": "1"})["listen.tcp"].value is None


def test_off_in_an_outer_layer_takes_away_what_the_file_set():
    settings = resolve(File("c.toml", "[listen]\ntcp = 1"), {"HOLDFAST_TCP": "off"})
    assert settings["listen.tcp"].value is None
    assert settings["listen.tcp"].origin.layer == "environment"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (
            "[net]\n\nconections_max = 1",
            "c.toml:3",
            "unknown key net.conections_max, did you mean net.connections_max?",
        ),
        ("[nett]\nx = 1", "c.toml:1", "unknown section [nett], did you mean [net]?"),
        ("\ntcp = 1", "c.toml:2", "unknown key tcp, did you mean listen.tcp?"),
        ("[net]\ntcp = 1", "c.toml:2", "unknown key net.tcp, did you mean listen.tcp?"),
        ("net = 1", "c.toml:1", "net is a section, not a value; write [net]"),
        ("[zzzzz]", "c.toml:1", "unknown section [zzzzz]"),
        (
            '"net.connections_max" = 5',
            "c.toml:1",
            'unknown key "net.connections_max", did you mean net.connections_max?',
        ),
        ('"a\\nb" = 5', "c.toml:1", 'unknown key "a\\nb"'),
        (
            '[net]\nconnections_max = "many"',
            "c.toml:2",
            'net.connections_max: expected a whole number from 1 to 1099511627776, got "many"',
        ),
        (
            '[[hooks]]\nevent = "pre_tool_use"\ntarget = "a:b"\ntool = "x"',
            "c.toml:4",
            "unknown key tool in [[hooks]], did you mean tools?",
        ),
        ("[journal]\nevent_bytes_max = 2000000", "c.toml:2", "journal.event_bytes_max: 2000000 is over"),
    ],
)
def test_a_mistake_names_file_line_and_key_and_the_nearest_name(text, place, message):
    first = problems(text)[0]
    assert first.place == place
    assert first.message.startswith(message)


def test_a_limit_that_another_one_contradicts_is_found_from_either_side():
    (problem,) = problems("[execution]\ntimeout_s_max = 5")
    assert problem == Problem(
        "c.toml:2",
        "execution.timeout_s",
        "execution.timeout_s: 120.0 is over execution.timeout_s_max, which is 5.0",
    )


def test_all_mistakes_are_found_and_the_message_is_one_line():
    with pytest.raises(BadSettings) as raised:
        resolve(
            File("c.toml", "[net]\na = 1\n[hub]\nb = 1"), {"HOLDFAST_WS": "x"}, [Flag("--set z", "z", "1")]
        )
    assert [problem.place for problem in raised.value.problems] == [
        "c.toml:2",
        "c.toml:4",
        "HOLDFAST_WS",
        "--set z",
    ]
    assert str(raised.value) == "c.toml:2: unknown key net.a (and 3 more)"


@pytest.mark.parametrize(
    ("mode", "owner", "content", "message"),
    [
        (0o100620, 1000, b"", "nobody else may write it"),
        (0o100602, 1000, b"", "nobody else may write it"),
        (PRIVATE, 1001, b"", "must be yours"),
        (0o040700, 1000, b"", "not a file"),
        (0o010600, 1000, b"", "not a file"),
        (PRIVATE, 1000, b" " * (FILE_BYTES_MAX + 1), "longer than"),
        (PRIVATE, 1000, b"\n\n\xff", "not UTF-8"),
    ],
)
def test_a_file_that_others_could_have_written_or_that_is_no_text_is_refused(mode, owner, content, message):
    with pytest.raises(BadSettings, match=re.escape(message)):
        trusted("c.toml", content, mode, owner, 1000)


@pytest.mark.parametrize(("mode", "owner"), [(PRIVATE, 1000), (0o100644, 1000), (0o100444, 0)])
def test_a_file_of_ours_or_of_root_that_others_can_only_read_is_used(mode, owner):
    assert trusted("c.toml", "ä".encode(), mode, owner, 1000) == File("c.toml", "ä")


def test_a_line_that_is_not_utf_8_is_named():
    with pytest.raises(BadSettings, match=r"c\.toml:3: not UTF-8"):
        trusted("c.toml", b"\n\n\xff", PRIVATE, 1000, 1000)
