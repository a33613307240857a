"""What a model is shown of a result, at the limit and past it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon.execution.bounded_result import DIFF_BYTES_MAX, bound_result
from holdfast_daemon.tools.base import ToolResult
from holdfast_protocol.content import ImageBlock, ResourceLinkBlock, TextBlock
from holdfast_protocol.events import Diff


def result(*texts: str) -> ToolResult:
    return ToolResult(content=tuple(TextBlock(text=text) for text in texts))


def size(given: ToolResult) -> int:
    return sum(len(getattr(block, "text", getattr(block, "data", ""))) for block in given.content)


def test_a_result_at_the_limit_is_left_as_it_is() -> None:
    whole = result("x" * 600, "y" * 400)
    assert bound_result(whole, 1000) == whole


def test_one_byte_more_is_cut_to_head_and_tail_and_says_so() -> None:
    cut = bound_result(result("x" * 600, "y" * 401), 1000)
    assert cut.truncated
    assert cut.content[0] == TextBlock(text="x" * 600)
    assert "bytes left out" in cut.content[1].text
    assert size(cut) <= 1000


def test_blocks_that_do_not_fit_are_counted() -> None:
    image = ImageBlock(mime_type="image/png", data="A" * 5000)
    link = ResourceLinkBlock(uri="file:///x")
    cut = bound_result(ToolResult(content=(TextBlock(text="before"), image, link)), 1000)
    assert cut.content[0] == TextBlock(text="before")
    assert cut.content[1].text == "[2 more blocks of the result were left out: it is too large]"
    assert cut.truncated


def test_a_tools_own_mark_stays() -> None:
    assert bound_result(msgspec.structs.replace(result("x"), truncated=True), 1000).truncated


@pytest.mark.parametrize(("extra", "kept"), [(0, True), (1, False)])
def test_diffs_are_kept_up_to_their_limit(extra: int, kept: bool) -> None:
    diff = Diff(path="/a", new_text="n" * (DIFF_BYTES_MAX - 2 + extra))
    bounded = bound_result(ToolResult(content=(), diff=(diff,)), 1000)
    assert (bounded.diff == (diff,)) is kept
    assert bounded.truncated is not kept


def test_a_lone_surrogate_does_not_reach_the_log() -> None:
    (block,) = bound_result(result("a\udcffb"), 1000).content
    assert msgspec.json.encode(block)
    assert block.text == "a?b"


@given(st.lists(st.text(max_size=500), max_size=6), st.integers(512, 1500))
def test_no_result_is_over_the_limit(texts: list[str], bytes_max: int) -> None:
    bounded = bound_result(result(*texts), bytes_max)
    assert sum(len(block.text.encode()) for block in bounded.content) <= bytes_max
