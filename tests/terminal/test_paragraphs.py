"""Cutting streaming Markdown where no later text can change what stands before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_client.terminal.paragraphs import LINE_CHARS_MAX, LINES_MAX, Paragraphs


def cut(text: str, size: int) -> list[str]:
    paragraphs = Paragraphs()
    blocks = [found for at in range(0, len(text), size) for found in paragraphs.feed(text[at : at + size])]
    return [*blocks, *paragraphs.rest()]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("one\ntwo\n\nthree", ["one\ntwo", "three"]),
        ("\n\n\none\n\n\n\ntwo\n", ["one", "two"]),
        ("```\na\n\nb\n```\n\nc", ["```\na\n\nb\n```", "c"]),
        ("~~~~ x\n```\n\n~~~\n~~~~\n\nc", ["~~~~ x\n```\n\n~~~\n~~~~", "c"]),
        ("``` not a ` fence\n\nb", ["``` not a ` fence", "b"]),
        ("1. a\n\n2. b\n\n   of b\n\nc", ["1. a\n\n2. b\n\n   of b", "c"]),
        ("- a\n\n  ```\n  x\n\n  y\n  ```\n\nb", ["- a\n\n  ```\n  x\n\n  y\n  ```", "b"]),
        ("text\n\n    code\n\nmore", ["text", "    code", "more"]),
        ("", []),
    ],
)
def test_blocks_are_whole(text, blocks, size):
    assert cut(text, size) == blocks


def test_a_block_is_given_as_soon_as_another_one_has_begun():
    paragraphs = Paragraphs()
    assert paragraphs.feed("one\n\n") == []
    assert paragraphs.feed("two\n") == ["one"]
    assert paragraphs.rest() == ["two"]


def test_a_long_fence_is_cut_into_fences():
    lines = [f"line {number}" for number in range(3 * LINES_MAX)]
    blocks = cut("```python\n" + "\n".join(lines) + "\n```\n\nend", 7)
    assert blocks[-1] == "end"
    assert all(found.startswith("```python\n") and found.endswith("\n```") for found in blocks[:-1])
    kept = [line for found in blocks[:-1] for line in found.split("\n")[1:-1]]
    assert kept == lines


def test_a_long_line_is_cut_at_a_blank():
    blocks = cut("word " * LINE_CHARS_MAX, 100)
    assert max(map(len, blocks)) <= LINE_CHARS_MAX
    assert " ".join(found.strip() for found in blocks).split() == ["word"] * LINE_CHARS_MAX


@given(st.text(alphabet="ab -*`~1.\n ", max_size=200), st.lists(st.integers(1, 40), min_size=1))
def test_however_it_is_split_the_blocks_are_the_same(text, sizes):
    paragraphs = Paragraphs()
    blocks, at, number = [], 0, 0
    while at < len(text):
        size = sizes[number % len(sizes)]
        blocks += paragraphs.feed(text[at : at + size])
        at, number = at + size, number + 1
    assert [*blocks, *paragraphs.rest()] == cut(text, max(1, len(text)))
    assert paragraphs.length == len(text)


@given(st.text(alphabet="ab -*`~1.\n ", max_size=300))
def test_no_letter_is_lost(text):
    assert "".join(cut(text, 5)).replace("\n", "").replace(" ", "") == text.replace("\n", "").replace(" ", "")
