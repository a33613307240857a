"""Content blocks, and their text for those who take text alone (PROTOCOL.md, "Content")."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_values import of

from holdfast_protocol.content import (
    ContentBlock,
    ImageBlock,
    ResourceBlock,
    ResourceLinkBlock,
    TextBlock,
    plain_text,
)


@given(st.lists(of(ContentBlock), max_size=4))
def test_blocks_come_back_as_they_were(blocks):
    assert msgspec.json.decode(msgspec.json.encode(blocks), type=list[ContentBlock]) == blocks


def test_plain_text_has_a_line_for_every_block():
    blocks = [
        TextBlock(text="Look:"),
        ImageBlock(mime_type="image/png", data="AAAA"),
        ResourceLinkBlock(uri="file:///a", name="a"),
        ResourceBlock(uri="file:///b", text="beta"),
    ]
    assert plain_text(blocks) == "Look:\n[image image/png]\nfile:///a\nfile:///b\nbeta"
    assert plain_text([]) == ""


@pytest.mark.parametrize(
    "body",
    [b'{"type":"audio","data":""}', b'{"text":"x"}', b'{"type":"text"}', b'{"type":"image","data":"AAAA"}'],
)
def test_a_block_of_another_type_or_shape_is_refused(body):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=ContentBlock)
