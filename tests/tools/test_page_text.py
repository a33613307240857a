"""HTML to text: what a reader would see."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast_daemon.tools.page_text import page_text

PAGE = """<!doctype html><html><head><title> A  title </title><style>p {}</style></head><body>
<script>if (1 < 2) document.write("<p>no</p>")</script>
<h1>Head&shy;ing &amp; more</h1><p>One <b>bold</b>
word.<p>Two<br>lines<ul><li>first<li><a href=x>second</a></ul>
<pre>  kept
    as is</pre><svg><text>no</text></svg><noscript>no</noscript>
<table><tr><td>a<td>b</table></body></html>"""


def test_a_page_becomes_its_title_and_its_blocks() -> None:
    lines = page_text(PAGE).replace("\xad", "").splitlines()
    assert lines[0] == "A title"
    for line in ("# Heading & more", "One bold word.", "Two", "lines", "- first", "- second", "    as is"):
        assert line in lines
    assert "no" not in lines


def test_an_unseen_element_ends_with_its_own_end() -> None:
    assert page_text("<svg><svg>x</svg>y</svg>seen") == "seen"
    assert page_text("<script>a</b></script>seen") == "seen"


@given(st.text(alphabet=st.sampled_from("<>/!-=\"' &;abcprescript\n")))
def test_no_page_breaks_it(page: str) -> None:
    assert isinstance(page_text(page), str)


def test_deep_nesting_does_not_break_it() -> None:
    assert page_text("<div>" * 100_000 + "deep") == "deep"
    assert page_text("<svg>" * 100_000 + "deep") == ""
