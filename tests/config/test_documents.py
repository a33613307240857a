"""The text of the file: any text is read, or refused with a line of it."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast_protocol.settings import document
from holdfast_protocol.settings.resolve import KEYS, BadSettings, File, resolve

PLACE = re.compile(r"config\.toml:(\d+)")

fragments = st.one_of(
    st.sampled_from(["[net]", "[[hooks]]", "[listen]", "[nett]", "[net.x]", "[hooks.x]", "# words", "", "]"]),
    st.builds(
        "{} = {}".format,
        st.sampled_from(
            [key.bare for key in KEYS.values()] + ["x", "net", "hooks", '"a b"', "net.x", "'\\u'"]
        ),
        st.sampled_from(
            [
                "1",
                "-1",
                "1.5",
                "nan",
                '"off"',
                "[]",
                "{}",
                "{ tcp = 1 }",
                "[1,\n2]",
                '"""a\n\n[b]"""',
                "?",
                "9" * 5000,
            ]
        ),
    ),
    st.text(max_size=20),
)
texts = st.one_of(st.text(max_size=200), st.lists(fragments, max_size=8).map("\n".join))


@given(texts)
@example("[" * 5000)
@example("a = " + "[" * 3000)
@example("x = " + "9" * 5000)
@example("[net]\r\nconnections_max = 0\r\n")
@example("a = 1\na = 2")
@example('"net.connections_max" = 5')
def test_any_text_is_read_or_refused_with_a_line_of_it(text):
    lines = text.count("\n") + 1
    try:
        resolve(File("config.toml", text), {})
    except BadSettings as error:
        for problem in error.problems:
            place = PLACE.fullmatch(problem.place)
            assert place, problem
            assert 1 <= int(place[1]) <= lines
            assert "\n" not in str(problem)


def test_a_key_is_found_on_its_line_whatever_stands_before_it():
    text = (
        "# [net]\n"
        'a = """\n[net]\nconnections_max = 1\n"""\n'
        "list = [\n  1,  # net\n  2,\n]\n"
        "\n[net]  # here\n\n"
        "connections_max = 5\n"
        "inline.x = { y = 1 }\n"
        "[[hooks]]\nevent = 1\n[[hooks]]\nevent = 2\n[hooks.deep]\nx = 1\n"
    )
    lines = document.lines_of(text)
    assert document.parse(text)["net"]["connections_max"] == 5
    assert {path: line for path, line in lines.items() if path[0] != "hooks"} == {
        ("a",): 2,
        ("list",): 6,
        ("net",): 11,
        ("net", "connections_max"): 13,
        ("net", "inline"): 14,
        ("net", "inline", "x"): 14,
        ("net", "inline", "x", "y"): 14,
    }
    assert lines["hooks", "0", "event"] == 16
    assert lines["hooks", "1", "event"] == 18
    assert lines["hooks", "1", "deep", "x"] == 20


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\n[net\n", 2),
        ("a = 1\nb = [\n1,\n", 4),
        ("a = 1\n\na = 2\n", 3),
        ("a = 1\nb = " + "9" * 5000, 2),
        ("a = 1\nb = 2000-99-99\n", 2),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(text, line):
    with pytest.raises(document.NotTOML) as raised:
        document.parse(text)
    assert raised.value.line == line
    assert "(at " not in raised.value.message


def test_a_text_may_have_so_many_characters_and_no_more():
    assert document.parse("#" * document.CHARACTERS_MAX) == {}
    with pytest.raises(document.NotTOML, match="longer than"):
        document.parse("#" * (document.CHARACTERS_MAX + 1))
