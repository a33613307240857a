"""One setting: what fits it. The daemon's own types are the judge."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon.config import Config
from holdfast_daemon.config_keys import DESCRIBED
from holdfast_protocol.settings.key import OFF, Key, Misfit, expected, fit, read, shown, toml_value
from holdfast_protocol.settings.resolve import KEYS
from holdfast_protocol.settings.table import DAEMON_KEYS

values = st.one_of(
    st.integers(-5, 5),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.text(max_size=20),
    st.sampled_from(["https://a.example", "a:b", OFF, "pre_tool_use", "http://x\n", "http://"]),
    st.lists(st.one_of(st.text(max_size=5), st.just("https://a.example"), st.integers()), max_size=3),
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "event": st.sampled_from(["pre_tool_use", "no"]),
                "target": st.sampled_from(["a:b", "a"]),
                "tools": st.sampled_from(["*", ""]),
                "timeout_s": st.one_of(st.integers(-1, 3), st.floats()),
            },
        ),
        max_size=2,
    ),
)


def _accepted_by_the_daemon(key: Key, value: Any) -> bool:
    """Ask msgspec whether the value may stand in `Config`."""
    given = None if key.may_be_off and value == OFF else value
    where = {key.bare: given} if key.bare in DESCRIBED else {key.section: {key.bare: given}}
    try:
        msgspec.convert({"state_dir": "/", **where}, Config)
    except msgspec.ValidationError:
        return False
    # A number that is none never bounds anything; msgspec refuses it by its bounds.
    return not (isinstance(value, float) and math.isnan(value))


def _is_accepted(key: Key, value: Any) -> bool:
    try:
        fit(key, value)
    except Misfit:
        return False
    return True


@given(st.sampled_from(DAEMON_KEYS), values)
def test_the_clients_table_accepts_what_the_daemons_types_accept(key, value):
    # A whole float is an int to msgspec, never to TOML: `5.0` where a count belongs is a mistake.
    if key.kind == "integer" and isinstance(value, float):
        assert not _is_accepted(key, value)
        return
    assert _is_accepted(key, value) == _accepted_by_the_daemon(key, value)


@pytest.mark.parametrize("key", KEYS.values(), ids=lambda key: key.name)
def test_every_default_fits_its_own_setting(key):
    if key.default is not None:
        given = list(key.default) if isinstance(key.default, tuple) else key.default
        assert fit(key, given) == key.default


@pytest.mark.parametrize("key", DAEMON_KEYS, ids=lambda key: key.name)
def test_a_value_read_from_text_is_the_one_the_file_would_give(key):
    if key.kind in ("integer", "number") and key.default is not None:
        assert read(key, str(key.default)) == key.default


@pytest.mark.parametrize("key", [key for key in KEYS.values() if key.may_be_off], ids=lambda key: key.name)
def test_off_is_no_value_and_back(key):
    assert fit(key, OFF) is None
    assert read(key, OFF) is None
    assert toml_value(key, None) == OFF


@pytest.mark.parametrize("value", [True, 0, -1, 1.0, "64", None, [64]])
def test_a_limit_is_a_positive_whole_number(value):
    with pytest.raises(Misfit, match="a whole number from 1"):
        fit(KEYS["net.connections_max"], value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 0, -0.5, True, "5"])
def test_a_time_is_a_positive_finite_number(value):
    with pytest.raises(Misfit, match=r"a number from 0\.001"):
        fit(KEYS["hub.block_timeout_s"], value)


@pytest.mark.parametrize("text", ["", "1e3", "0x10", "1_000", "\u0661", "nan", "inf", "1" * 40, "--1"])
def test_numbers_in_text_are_plain_decimals(text):
    with pytest.raises(Misfit):
        read(KEYS["net.connections_max"], text)


def test_a_list_in_text_is_separated_by_commas():
    key = KEYS["listen.ws_origins"]
    assert read(key, "https://a.example, https://b.example") == ("https://a.example", "https://b.example")


def test_a_misfit_in_a_list_names_what_its_items_are():
    with pytest.raises(Misfit, match="an origin"):
        fit(KEYS["listen.ws_origins"], ["https://a.example", "nonsense"])


def test_choices_are_listed():
    assert expected(KEYS["command.mode"]) == "one of ask, plan, accept_edits, auto"


def test_a_long_value_is_shown_shortened_on_one_line():
    assert len(shown("x\n" * 500)) <= 60
    assert "\n" not in shown("x\n" * 500)
