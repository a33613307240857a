"""Command lines, without any command."""

import pytest

from holdfast_client.shell.arguments import Arguments, HelpWanted, Spec, meant, parse
from holdfast_client.shell.exit_codes import USAGE, UsageError

SPEC = Spec(
    usage="holdfast example WORD…\n",
    flags={"-a": "all", "--all": "all"},
    options={"-o": "output", "--output": "output", "--format": "format", "--since": "since"},
    choices={"format": ("text", "json")},
    positionals=(0, 2),
)


def test_flags_options_and_positionals_are_told_apart_in_any_order() -> None:
    given = parse(["one", "--all", "-o", "file", "two", "--format=json"], SPEC)

    assert given == Arguments(["one", "two"], {"all"}, {"output": "file", "format": "json"})


def test_after_two_dashes_nothing_is_an_option() -> None:
    assert parse(["--", "--all", "-x"], SPEC).positionals == ["--all", "-x"]


def test_a_single_dash_is_a_positional() -> None:
    assert parse(["-"], SPEC).positionals == ["-"]


def test_a_value_may_begin_with_a_dash_and_contain_an_equals_sign() -> None:
    assert parse(["-o", "-x", "--output=a=b"], SPEC).options == {"output": "a=b"}
    assert parse(["-o", "-x"], SPEC).options == {"output": "-x"}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--al"], "unknown option --al, did you mean --all?"),
        (["--zzzzzz"], "unknown option --zzzzzz"),
        (["--format", "xml"], "--format takes text, json, not 'xml'"),
        (["--all=yes"], "--all takes no value"),
        (["-o"], "-o needs a value"),
        (["a", "b", "c"], "unexpected argument 'c'"),
    ],
)
def test_what_does_not_fit_is_named(argv: list[str], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(argv, SPEC)

    assert raised.value.message == said
    assert raised.value.exit_code == USAGE


def test_a_missing_positional_shows_how_the_command_is_called() -> None:
    with pytest.raises(UsageError, match="usage: holdfast example WORD"):
        parse([], SPEC._replace(positionals=(1, 1)))


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_is_wanted_wherever_it_stands(word: str) -> None:
    with pytest.raises(HelpWanted):
        parse(["one", word], SPEC)


@pytest.mark.parametrize("text", ["-1", "x", "1.5", "", "٣"])
def test_a_number_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--since takes a whole number"):
        Arguments([], set(), {"since": text}).integer("since")


def test_a_number_is_read_and_an_absent_one_is_none() -> None:
    assert Arguments([], set(), {"since": "42"}).integer("since") == 42
    assert Arguments([], set(), {}).integer("since") is None


def test_the_nearest_known_word_is_offered_and_no_far_one() -> None:
    assert meant("wacth", ["watch", "attach"]) == ", did you mean watch?"
    assert meant("frok", ["fork", "run"]) == ", did you mean fork?"
    assert meant("zzz", ["watch", "attach"]) == ""
    assert meant("bogus", ["logs"]) == ""


@pytest.mark.parametrize(("text", "amount"), [("1", 1.0), ("0.25", 0.25), (".5", 0.5), ("2.", 2.0)])
def test_an_amount_may_have_a_fraction(text: str, amount: float) -> None:
    assert Arguments([], set(), {"timeout": text}).amount("timeout") == amount


@pytest.mark.parametrize("text", ["0", "0.0", "-1", "1e9", "inf", "nan", "", ".", "1.2.3", "½"])
def test_what_is_no_amount_above_zero_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--timeout takes a number above 0"):
        Arguments([], set(), {"timeout": text}).amount("timeout")


def test_flags_that_exclude_each_other_are_named() -> None:
    assert Arguments([], {"b"}, {}).one_of("a", "b") == "b"
    assert Arguments([], set(), {}).one_of("a", "b") is None
    with pytest.raises(UsageError, match="--a and --b exclude each other"):
        Arguments([], {"a", "b"}, {}).one_of("a", "b")


def test_a_command_that_passes_on_takes_any_words_and_explains_itself() -> None:
    spec = Spec(usage="holdfast pass\n", positionals=(0, None), passes_on=True)

    assert parse(["--x", "-h"], spec).positionals == ["--x", "-h"]
    assert parse(["--", "--help"], spec).positionals == ["--help"]
    with pytest.raises(HelpWanted):
        parse(["--help"], spec)
