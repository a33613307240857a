"""Which session a person means."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_client.shell import sessions
from holdfast_client.shell.exit_codes import CommandFailed


def row(session_id: str, title: str | None = None) -> sessions.Row:
    return {"sessionId": session_id, **({"title": title} if title else {})}


ROWS = [
    row("abc1", "Fix the parser"),
    row("abc2", "Fix the tests"),
    row("abc", None),
    row("xyz", "fix"),
]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("abc", "abc"),  # Exact, though others begin with it.
        ("abc1", "abc1"),
        ("x", "xyz"),
        ("parser", "abc1"),
        ("FIX THE TESTS", "abc2"),
        ("Fix", "xyz"),  # A whole title before parts of others.
    ],
)
def test_a_session_is_named_by_id_beginning_or_title(name: str, meant: str) -> None:
    assert sessions.choose(ROWS, name)["sessionId"] == meant


@pytest.mark.parametrize("name", ["nothing", "", "abc1 ", "bc1"])
def test_no_such_session_has_its_own_code(name: str) -> None:
    with pytest.raises(CommandFailed) as raised:
        sessions.choose(ROWS, name)

    assert (raised.value.exit_code, raised.value.kind) == (6, "not_found")


def test_a_title_that_is_the_beginning_of_anothers_id_means_both() -> None:
    """Anybody may give a session a title."""
    with pytest.raises(CommandFailed) as raised:
        sessions.choose([row("abc1"), row("xyz", "abc")], "abc")

    assert raised.value.kind == "ambiguous"


@pytest.mark.parametrize(("name", "candidates"), [("ab", ("abc1", "abc2", "abc")), ("the", ("abc1", "abc2"))])
def test_an_ambiguous_name_lists_who_may_be_meant(name: str, candidates: tuple[str, ...]) -> None:
    with pytest.raises(CommandFailed) as raised:
        sessions.choose(ROWS, name)

    assert raised.value.exit_code == 2
    assert all(candidate in raised.value.message for candidate in candidates)


def test_many_candidates_are_counted_not_listed() -> None:
    with pytest.raises(CommandFailed, match="and 95 more"):
        sessions.choose([row(f"a{number}") for number in range(100)], "a")


class Pages:
    """A caller that has the session list in pages."""

    def __init__(self, *pages: list[sessions.Row]) -> None:
        self._pages = pages
        self.asked: list[dict[str, Any]] = []

    def call(self, method: str, params: dict[str, Any]) -> Any:
        assert method == "session/list"
        self.asked.append(params)
        number = int(params.get("cursor", "0"))
        more = {"next": str(number + 1)} if number + 1 < len(self._pages) else {}
        return {"sessions": self._pages[number], **more}


def test_all_pages_are_read_archived_sessions_too() -> None:
    pages = Pages([row("a")], [row("b")], [row("c")])

    assert sessions.resolve(pages, "c")["sessionId"] == "c"
    assert [asked.get("cursor") for asked in pages.asked] == [None, "1", "2"]
    assert all(asked["archived"] for asked in pages.asked)


def test_an_exact_id_ends_the_reading() -> None:
    pages = Pages([row("a")], [row("b")])

    sessions.resolve(pages, "a")

    assert len(pages.asked) == 1


@given(st.sets(st.text(alphabet="ab01", min_size=9, max_size=20), min_size=1, max_size=20))
def test_short_ids_tell_all_sessions_apart(ids: set[str]) -> None:
    length = sessions.short_length(ids)

    assert length >= sessions.SHORT_ID_MIN
    assert len({session_id[:length] for session_id in ids}) == len(ids)
