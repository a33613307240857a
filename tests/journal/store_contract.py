"""The suite every `Store` passes: derive a `Test…` class and give it a `bench`.

class TestMyStore(StoreContract):
    @pytest.fixture
    def bench(self) -> Bench: ...
"""

import itertools
import random
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spending import DEEDS, QUARTER_MS, TIMES, Delete, Fork, Say, Spending, by_name

from holdfast_daemon.journal import projections
from holdfast_daemon.journal.store import (
    DAEMON_SCOPE,
    SCAN_MAX,
    Append,
    AppendBlock,
    Change,
    EndMessages,
    EventRow,
    InsertKey,
    InsertRule,
    KeyRow,
    NewSession,
    Page,
    RuleRow,
    Store,
    StoreConflict,
    StoreError,
    TokenRow,
    Upsert,
    UsageRow,
)
from holdfast_protocol import events
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Cost, Usage

SPILL_BYTES = 256 * 1024
"""Bodies above this may be kept elsewhere; nobody who reads can tell."""

ANY = 2**31

# Examples share a store: each test says why that is no matter. Each store has a class of its own to run it.
PROPERTY = settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


class Bench(Protocol):
    """Makes stores on one lasting medium."""

    def open(self) -> Store:
        """Open the medium, as a daemon does at its start; an earlier store is closed or abandoned."""
        ...

    def make_newer(self) -> None:
        """Mark the medium as written by a later release; no store is open."""
        ...


def row(seq: int, text: str = "", *, kind: str = "notice", run: str | None = None) -> EventRow:
    body = msgspec.json.encode({"seq": seq, "at": 1000 + seq, "type": kind, "text": text})
    return EventRow(seq, kind, run, 1000 + seq, body)


def rows(first: int, last: int) -> list[EventRow]:
    return [row(seq, f"event {seq}") for seq in range(first, last + 1)]


def create(
    store: Store,
    session: str = "s",
    *,
    first: Sequence[EventRow] = (),
    changes: Sequence[Change] = (),
    at: int = 1,
    cwd: str = "/",
    copying: bool = False,
) -> int:
    new = NewSession(session, f"epoch of {session}", cwd, "chat", "m", None, "{}", at)
    return store.create_session(new, Append(0, first, changes), copying=copying)


def changes_of(*placed: events.Event) -> list[Change]:
    """Give the row changes of events, numbered from 1."""
    found: list[Change] = []
    for seq, event in enumerate(placed, 1):
        found.extend(projections.changes_of(event, seq, at=seq))
    return found


def prompt(prompt_id: str, status: Any = "queued") -> events.PromptReceived:
    return events.PromptReceived(
        prompt_id=prompt_id, content=(TextBlock(text="do it"),), delivery="queue", status=status, by="c"
    )


def run_started(run: str, prompt_id: str) -> events.RunStarted:
    return events.RunStarted(run_id=run, prompt_id=prompt_id, agent="chat", model="m")


def run_completed(run: str) -> events.RunCompleted:
    return events.RunCompleted(run_id=run, stop_reason="end_turn", usage=Usage(), duration_ms=1, steps=1)


def used(
    model: str, amount: float | None, usage: Usage | None = None, currency: str = "USD"
) -> events.UsageUpdated:
    usage = usage or Usage(input=1)
    cost = None if amount is None else Cost(amount=amount, currency=currency)
    return events.UsageUpdated(run_id="r1", model=model, step=1, usage=usage, cost=cost)


def everything(store: Store, key: int, **options: Any) -> list[EventRow]:
    return store.read(key, 0, ANY, limit=ANY, bytes_max=ANY, **options).rows


def remember(
    name: str = "k", *, scope: int | None = DAEMON_SCOPE, at: int = 5, result: bytes = b"{}"
) -> InsertKey:
    return InsertKey(scope, "client", "method", name, b"digest", result, at)


def found_key(store: Store, name: str = "k", scope: int = DAEMON_SCOPE) -> KeyRow | None:
    return store.find_key(scope, "client", "method", name)


def check_page(page: Page, wanted: Sequence[EventRow], *, limit: int, bytes_max: int) -> None:
    """Assert that a page holds all that is wanted in the range it covers, within its limits."""
    assert page.rows == [item for item in wanted if page.first <= item.seq <= page.last]
    assert len(page.rows) <= limit
    if len(page.rows) > 1:
        assert sum(len(item.body) for item in page.rows) <= bytes_max


class StoreContract:
    """What a store promises."""

    @pytest.fixture
    def bench(self) -> Bench:
        raise NotImplementedError

    @pytest.fixture
    def store(self, bench: Bench) -> Any:
        store = bench.open()
        yield store
        store.close()

    # Appending ----------------------------------------------------------------------------------------

    def test_a_created_session_is_found_with_its_first_events(self, store: Store) -> None:
        key = create(store, "s", first=rows(1, 2), at=7, cwd="/home")
        found = store.find_session("s")
        assert found is not None
        assert (found.key, found.session, found.epoch, found.cwd) == (key, "s", "epoch of s", "/home")
        assert (found.head, found.state, found.created_at, found.updated_at) == (2, "active", 7, 7)
        assert everything(store, key) == rows(1, 2)

    def test_a_session_that_was_never_created_is_not_found(self, store: Store) -> None:
        create(store)
        assert store.find_session("another") is None

    def test_a_taken_session_id_is_a_conflict(self, store: Store) -> None:
        create(store, first=rows(1, 1))
        with pytest.raises(StoreConflict):
            create(store, changes=[remember()])
        assert found_key(store) is None

    def test_an_append_at_head_plus_one_is_read_back_byte_for_byte(self, store: Store) -> None:
        key = create(store, first=rows(1, 1))
        odd = EventRow(
            2, "notice", "r1", -3, b'{"seq":2,  "not":"canonical", "text":"\xc3\xa9 \xf0\x9f\x8c\xb1"}'
        )
        store.append([Append(key, [odd], [])])
        assert everything(store, key) == [*rows(1, 1), odd]

    @pytest.mark.parametrize("first", [1, 3, 5, 6])
    def test_an_append_elsewhere_is_a_conflict_and_changes_nothing(self, store: Store, first: int) -> None:
        key = create(store, first=rows(1, 3))
        with pytest.raises(StoreConflict):
            store.append([Append(key, rows(first, first + 1), [remember()])])
        assert everything(store, key) == rows(1, 3)
        assert found_key(store) is None
        store.append([Append(key, rows(4, 4), [])])

    def test_a_transaction_is_stored_whole_or_not_at_all(self, store: Store) -> None:
        first, second = create(store, "a", first=rows(1, 1)), create(store, "b", first=rows(1, 1))
        titled = Upsert("sessions", "", (("title", "never"),))
        with pytest.raises(StoreConflict):
            store.append([Append(first, rows(2, 3), [titled, remember()]), Append(second, rows(1, 1), [])])
        found = store.find_session("a")
        assert found is not None
        assert (found.head, found.title) == (1, None)
        assert everything(store, first) == rows(1, 1)
        assert found_key(store) is None

    def test_two_appends_to_one_session_in_a_transaction_follow_each_other(self, store: Store) -> None:
        key = create(store)
        store.append([Append(key, rows(1, 2), []), Append(key, rows(3, 3), [])])
        assert everything(store, key) == rows(1, 3)

    def test_an_append_without_rows_changes_rows_of_tables_only(self, store: Store) -> None:
        key = create(store, first=rows(1, 1))
        store.append([Append(key, (), [Upsert("sessions", "", (("title", "named"),))])])
        found = store.find_session("s")
        assert found is not None
        assert (found.head, found.title) == (1, "named")

    def test_an_append_of_nothing_is_no_error(self, store: Store) -> None:
        key = create(store, first=rows(1, 1))
        store.append([])
        store.append([Append(key, (), ())])
        assert everything(store, key) == rows(1, 1)

    def test_a_session_knows_nothing_of_another(self, store: Store) -> None:
        one, two = create(store, "a"), create(store, "b")
        store.append([Append(one, rows(1, 3), []), Append(two, [row(1, "mine")], [])])
        assert everything(store, one) == rows(1, 3)
        assert everything(store, two) == [row(1, "mine")]

    def test_a_probe_writes(self, store: Store) -> None:
        store.probe()
        store.probe()
        assert store.find_session("s") is None

    # Reading ------------------------------------------------------------------------------------------

    def test_a_read_begins_after_and_ends_with_its_bounds(self, store: Store) -> None:
        key = create(store, first=rows(1, 9))
        page = store.read(key, 3, 6, limit=ANY, bytes_max=ANY)
        assert (page.first, page.last, page.rows) == (4, 6, rows(4, 6))

    def test_a_read_at_the_head_covers_nothing(self, store: Store) -> None:
        key = create(store, first=rows(1, 3))
        assert store.read(key, 3, 3, limit=10, bytes_max=ANY) == Page(4, 3, [])
        assert store.read(key, 3, 2, limit=10, bytes_max=ANY) == Page(4, 3, [])

    def test_a_read_back_ends_before_its_bound_and_is_oldest_first(self, store: Store) -> None:
        key = create(store, first=rows(1, 9))
        page = store.read_back(key, 8, limit=3, bytes_max=ANY)
        assert (page.first, page.last, page.rows) == (5, 7, rows(5, 7))

    def test_a_read_back_before_the_first_event_covers_nothing(self, store: Store) -> None:
        key = create(store, first=rows(1, 3))
        assert store.read_back(key, 1, limit=10, bytes_max=ANY) == Page(1, 0, [])

    def test_an_event_over_the_byte_limit_is_a_page_of_its_own(self, store: Store) -> None:
        large = [row(seq, "x" * 500) for seq in (1, 2, 3)]
        key = create(store, first=large)
        assert store.read(key, 0, 3, limit=10, bytes_max=1).rows == large[:1]
        assert store.read_back(key, 4, limit=10, bytes_max=1).rows == large[2:]

    def test_the_byte_limit_is_met_exactly(self, store: Store) -> None:
        given_rows = rows(1, 4)
        key = create(store, first=given_rows)
        three = sum(len(item.body) for item in given_rows[:3])
        assert len(store.read(key, 0, 4, limit=10, bytes_max=three).rows) == 3
        assert len(store.read(key, 0, 4, limit=10, bytes_max=three - 1).rows) == 2

    @PROPERTY
    @given(
        limit=st.integers(1, 12),
        bytes_max=st.integers(1, 900),
        types=st.none() | st.sets(st.sampled_from(["a", "b", "c", "absent"]), min_size=1),
        without=st.sets(st.sampled_from(["a", "b"])),
        start=st.integers(0, 30),
    )
    def test_pages_forward_cover_the_log_without_hole_or_overlap(
        self,
        filled: tuple[Store, int, list[EventRow]],
        limit: int,
        bytes_max: int,
        types: Any,
        without: Any,
        start: int,
    ) -> None:
        store, key, log = filled
        chosen = sorted(types) if types is not None else None
        wanted = [
            item
            for item in log
            if item.seq > start and (types is None or item.type in types) and item.type not in without
        ]
        position, seen = start, []
        while position < len(log):
            page = store.read(
                key,
                position,
                len(log),
                limit=limit,
                bytes_max=bytes_max,
                types=chosen,
                without=tuple(without),
            )
            assert page.first == position + 1
            assert position < page.last <= len(log)
            check_page(page, wanted, limit=limit, bytes_max=bytes_max)
            seen += page.rows
            position = page.last
        assert seen == wanted

    @PROPERTY
    @given(limit=st.integers(1, 40), bytes_max=st.integers(1, 3000), start=st.integers(0, 30))
    def test_bodies_are_read_as_rows_are(
        self, filled: tuple[Store, int, list[EventRow]], limit: int, bytes_max: int, start: int
    ) -> None:
        store, key, log = filled
        page = store.read(key, start, len(log), limit=limit, bytes_max=bytes_max)
        bodies = store.read_bodies(key, start, len(log), limit=limit, bytes_max=bytes_max)
        assert bodies == (page.last, [item.body for item in page.rows])

    @PROPERTY
    @given(
        limit=st.integers(1, 12),
        bytes_max=st.integers(1, 900),
        types=st.none() | st.sets(st.sampled_from(["a", "b", "c", "absent"]), min_size=1),
        start=st.integers(1, 31),
    )
    def test_pages_backward_cover_the_log_without_hole_or_overlap(
        self, filled: tuple[Store, int, list[EventRow]], limit: int, bytes_max: int, types: Any, start: int
    ) -> None:
        store, key, log = filled
        chosen = sorted(types) if types is not None else None
        wanted = [item for item in log if item.seq < start and (types is None or item.type in types)]
        before, seen = start, []
        while before > 1:
            page = store.read_back(key, before, limit=limit, bytes_max=bytes_max, types=chosen)
            assert page.last == before - 1
            assert 1 <= page.first < before
            check_page(page, wanted, limit=limit, bytes_max=bytes_max)
            seen = page.rows + seen
            before = page.first
        assert seen == wanted

    @pytest.fixture
    def filled(self, store: Store) -> tuple[Store, int, list[EventRow]]:
        """A log of 30 events of three types and many sizes."""
        shape = random.Random(7)
        log = [row(seq, "x" * shape.choice([0, 10, 200]), kind=shape.choice("aabc")) for seq in range(1, 31)]
        return store, create(store, first=log), log

    def test_a_filter_that_finds_little_covers_a_bounded_range(self, store: Store) -> None:
        count = SCAN_MAX + 10
        log = [EventRow(seq, "common", None, 0, b"{}") for seq in range(1, count)]
        key = create(store, first=[*log, row(count, kind="rare")])
        forward = store.read(key, 0, count, limit=10, bytes_max=ANY, types=["rare"])
        assert (forward.first, forward.rows) == (1, [])
        assert forward.last <= SCAN_MAX
        rest = store.read(key, forward.last, count, limit=10, bytes_max=ANY, types=["rare"])
        assert [item.seq for item in rest.rows] == [count]
        backward = store.read_back(key, count, limit=10, bytes_max=ANY, types=["rare"])
        assert (backward.last, backward.rows) == (count - 1, [])
        assert backward.last - backward.first < SCAN_MAX
        unwanted = store.read(key, 0, count, limit=10, bytes_max=ANY, without=["common"])
        assert unwanted.last <= SCAN_MAX

    # Large bodies -------------------------------------------------------------------------------------

    def test_a_large_body_is_read_back_like_any_other(self, store: Store) -> None:
        sizes = (SPILL_BYTES - 200, SPILL_BYTES + 1, 3 * SPILL_BYTES)
        log = [row(seq, chr(64 + seq) * size) for seq, size in enumerate(sizes, 1)]
        key = create(store, first=[*log, row(4)])
        assert everything(store, key) == [*log, row(4)]
        assert store.read_back(key, 5, limit=9, bytes_max=ANY).rows == [*log, row(4)]

    def test_a_large_body_counts_with_its_own_size(self, store: Store) -> None:
        log = [row(seq, "x" * 2 * SPILL_BYTES) for seq in (1, 2)]
        key = create(store, first=log)
        assert store.read(key, 0, 2, limit=9, bytes_max=3 * SPILL_BYTES).rows == log[:1]

    def test_a_large_body_shared_by_a_fork_outlives_the_source(self, store: Store) -> None:
        large = row(1, "x" * 2 * SPILL_BYTES)
        source, fork = create(store, "a", first=[large]), create(store, "b", first=[large])
        _remove(store, source)
        assert everything(store, source) == []
        assert everything(store, fork) == [large]
        _remove(store, fork)
        assert everything(store, fork) == []
        again = create(store, "c", first=[large])
        assert everything(store, again) == [large]

    # Keys ---------------------------------------------------------------------------------------------

    def test_a_key_is_found_in_its_scope_only(self, store: Store) -> None:
        key = create(store, changes=[remember("of daemon"), remember("of session", scope=None)])
        assert found_key(store, "of daemon") == KeyRow(b"digest", b"{}")
        assert found_key(store, "of session") is None
        assert found_key(store, "of session", scope=key) == KeyRow(b"digest", b"{}")
        assert store.find_key(DAEMON_SCOPE, "somebody else", "method", "of daemon") is None
        assert store.find_key(DAEMON_SCOPE, "client", "another", "of daemon") is None

    def test_a_key_is_remembered_once(self, store: Store) -> None:
        key = create(store, changes=[remember(result=b"1")])
        with pytest.raises(StoreConflict):
            store.append([Append(key, rows(1, 1), [remember(result=b"2")])])
        assert found_key(store) == KeyRow(b"digest", b"1")
        assert everything(store, key) == []

    def test_old_keys_of_the_daemon_are_forgotten_and_no_others(self, store: Store) -> None:
        changes = [remember("old", at=9), remember("new", at=10), remember("session's", scope=None, at=1)]
        key = create(store, changes=changes)
        store.forget_keys(10)
        assert found_key(store, "old") is None
        assert found_key(store, "new") is not None
        assert found_key(store, "session's", scope=key) is not None

    # Sessions -----------------------------------------------------------------------------------------

    def test_sessions_are_listed_last_used_first(self, store: Store) -> None:
        keys = [create(store, name, at=at) for name, at in (("a", 5), ("b", 9), ("c", 1), ("d", 9))]
        store.append([Append(keys[2], (), [Upsert("sessions", "", (("updated_at", 7),))])])
        listed = store.list_sessions(cwd=None, archived=False, before=None, limit=10)
        assert [item.session for item in listed] == ["d", "b", "c", "a"]

    def test_a_page_of_the_list_goes_on_where_the_last_ended(self, store: Store) -> None:
        for number in range(7):
            create(store, f"s{number}", at=number // 3)
        seen: list[str] = []
        before: tuple[int, int] | None = None
        while page := store.list_sessions(cwd=None, archived=False, before=before, limit=2):
            assert len(page) <= 2
            seen += [item.session for item in page]
            before = (page[-1].updated_at, page[-1].key)
        assert seen == ["s6", "s5", "s4", "s3", "s2", "s1", "s0"]

    def test_the_list_is_narrowed_to_a_directory_and_hides_archived_sessions(self, store: Store) -> None:
        create(store, "here", cwd="/here")
        create(store, "there", cwd="/there")
        create(store, "old", cwd="/here", changes=[Upsert("sessions", "", (("archived", 1),))])

        def names(**options: Any) -> set[str]:
            return {item.session for item in store.list_sessions(before=None, limit=10, **options)}

        assert names(cwd=None, archived=False) == {"here", "there"}
        assert names(cwd="/here", archived=False) == {"here"}
        assert names(cwd="/here", archived=True) == {"here", "old"}

    def test_a_stored_view_comes_back_with_the_session_and_not_with_the_list(self, store: Store) -> None:
        view = Upsert("sessions", "", (("view", b'{"head":1}'), ("view_seq", 1)))
        create(store, first=rows(1, 1), changes=[view])
        found = store.find_session("s")
        assert found is not None
        assert (found.view, found.view_seq) == (b'{"head":1}', 1)
        assert [
            item.view for item in store.list_sessions(cwd=None, archived=False, before=None, limit=1)
        ] == [None]

    # Runs and prompts ---------------------------------------------------------------------------------

    def test_a_session_with_an_open_run_is_unfinished_until_its_end(self, store: Store) -> None:
        key = create(store, changes=changes_of(prompt("p1", "started"), run_started("r1", "p1")))
        create(store, "quiet")
        assert store.unfinished_sessions() == ["s"]
        store.append([Append(key, (), projections.changes_of(run_completed("r1"), 3, 3))])
        assert store.unfinished_sessions() == []

    def test_a_session_with_a_waiting_prompt_is_unfinished_until_it_is_carried_or_removed(
        self, store: Store
    ) -> None:
        removed = events.PromptRemoved(prompt_id="p1", reason="cleared")
        key = create(store, changes=changes_of(prompt("p1")))
        assert store.unfinished_sessions() == ["s"]
        store.append([Append(key, (), projections.changes_of(removed, 2, 2))])
        assert store.unfinished_sessions() == []

    def test_a_run_is_found_by_its_id_and_by_its_prompt(self, store: Store) -> None:
        key = create(store, changes=changes_of(prompt("p1"), run_started("r1", "p1"), run_completed("r1")))
        found = store.find_run(key, run="r1")
        assert found == store.find_run(key, prompt="p1")
        assert found is not None
        assert (found.run, found.prompt, found.status, found.seq_start, found.seq_end) == (
            "r1",
            "p1",
            "completed",
            2,
            3,
        )
        assert store.find_run(key, run="r2") is None
        assert store.find_run(key, prompt="p2") is None

    def test_the_last_run_that_carried_a_prompt_is_the_one_found_by_it(self, store: Store) -> None:
        again = events.RunStarted(run_id="r2", prompt_id="p1", agent="chat", model="m", continues="r1")
        key = create(
            store, changes=changes_of(prompt("p1"), run_started("r1", "p1"), run_completed("r1"), again)
        )
        found = store.find_run(key, prompt="p1")
        assert found is not None
        assert found.run == "r2"

    def test_a_prompt_no_run_carried_is_queued_or_removed(self, store: Store) -> None:
        removed = events.PromptRemoved(prompt_id="p2", reason="cleared")
        key = create(store, changes=changes_of(prompt("p1"), prompt("p2"), removed))
        assert store.find_prompt_status(key, "p1") == "queued"
        assert store.find_prompt_status(key, "p2") == "removed"
        assert store.find_prompt_status(key, "p3") is None

    def test_a_message_that_is_no_prompt_has_no_prompt_status(self, store: Store) -> None:
        start = events.ContentBlockStart(run_id="r1", block_id="b", message_id="m1", step=1, kind="text")
        block = AppendBlock("m1", b'{"kind":"text","text":"hi"}')
        changes = [*changes_of(start), block, EndMessages("r1", "completed", 9)]
        key = create(store, changes=changes)
        assert store.find_prompt_status(key, "m1") is None

    # People -------------------------------------------------------------------------------------------

    def test_a_request_is_found_with_the_answer_it_got(self, store: Store) -> None:
        opened = events.RequestOpened(
            run_id="r1", request_id="q1", kind="question", title="Which?", detail={}, options=()
        )
        key = create(store, changes=changes_of(prompt("p1"), run_started("r1", "p1"), opened))
        found = store.find_request(key, "q1")
        assert found is not None
        assert (found.outcome, found.by) == (None, None)
        kept = msgspec.json.decode(found.body, type=events.RequestOpened)
        assert (kept.request_id, kept.title, kept.run_id) == ("q1", "Which?", "r1")
        answer = events.RequestResolved(run_id="r1", request_id="q1", outcome="this", by="ann")
        store.append([Append(key, (), projections.changes_of(answer, 4, 4))])
        found = store.find_request(key, "q1")
        assert found is not None
        assert (found.outcome, found.by) == ("this", "ann")
        assert store.find_request(key, "q2") is None

    def test_rules_are_kept_with_the_append_that_makes_them(self, store: Store) -> None:
        key = create(store)
        one = RuleRow("u1", "allow", "shell", False, "make", None, "/", "ann", 2)
        two = RuleRow("u2", "deny", "write", True, None, "s", "/", "bob", 1)
        store.append([Append(key, rows(1, 1), [InsertRule(one)]), Append(key, rows(2, 2), [InsertRule(two)])])
        assert store.rules() == [two, one]
        with pytest.raises(StoreConflict):
            store.append([Append(key, rows(9, 9), [InsertRule(one._replace(rule="u3"))])])
        store.remove_rule("u2")
        store.remove_rule("unknown")
        assert store.rules() == [one]

    def test_tokens_are_kept_until_they_are_removed(self, store: Store) -> None:
        one = TokenRow("t1", "phone", "approver", b"\x01" * 32, 1)
        two = TokenRow("t2", "wall", "observer", b"\x02" * 32, 2)
        store.insert_token(one)
        store.insert_token(two)
        assert store.tokens() == [one, two]
        store.remove_token("t1")
        store.remove_token("t1")
        assert store.tokens() == [two]

    # Usage --------------------------------------------------------------------------------------------

    def test_what_was_used_is_added_up_by_model_source_and_currency(self, store: Store) -> None:
        usage = Usage(input=1, cache_read=2, cache_write_5m=4, cache_write_1h=8, output=16, reasoning=3)
        said = [
            run_started("r1", "p1"),
            used("m", 0.25, usage),
            used("m", 0.5, usage),
            used("m", 2.0, usage, "EUR"),
            used("m", None, usage),
            used("m", 0.0, Usage(output=9, estimated=True)),
            used("other", None),
        ]
        key = create(store, changes=changes_of(prompt("p1"), *said))
        once = UsageRow("m", False, "EUR", 0, 1, 0, 1, 2, 4, 8, 16, 3, 2.0)
        expected = {
            once,
            UsageRow("m", False, "USD", 0, 2, 0, 2, 4, 8, 16, 32, 6, 0.75),
            once._replace(currency="", runs=1, unpriced=1, amount=0.0),
            UsageRow("m", estimated=True, currency="USD", steps=1, output=9),
            UsageRow("other", estimated=False, currency="", steps=1, unpriced=1, input=1),
        }
        for scope in (key, DAEMON_SCOPE):
            found = store.usage(scope, 0)
            assert len(found) == len(expected)
            assert set(found) == expected

    def test_a_session_has_its_own_usage_and_the_total_has_that_of_all(self, store: Store) -> None:
        one = create(store, "a", changes=changes_of(used("m", 1.0)))
        two = create(store, "b", changes=changes_of(used("m", 2.0)))
        quiet = create(store, "c")
        amounts = [[row.amount for row in store.usage(scope, 0)] for scope in (one, two, quiet, DAEMON_SCOPE)]
        assert amounts == [[1.0], [2.0], [], [3.0]]

    def test_usage_is_kept_by_quarters_of_an_hour(self, store: Store) -> None:
        key = create(store)
        for at in (0, QUARTER_MS - 1, QUARTER_MS, 2 * QUARTER_MS):
            store.append([Append(key, (), projections.changes_of(used("m", 1.0), 1, at))])
        for scope in (key, DAEMON_SCOPE):
            steps = [
                sum(row.steps for row in store.usage(scope, since * QUARTER_MS)) for since in (0, 1, 2, 3)
            ]
            assert steps == [4, 2, 1, 0]

    def test_usage_is_stored_with_its_append_or_not_at_all(self, store: Store) -> None:
        key = create(store, first=rows(1, 1))
        with pytest.raises(StoreConflict):
            store.append([Append(key, rows(1, 1), changes_of(used("m", 1.0)))])
        assert store.usage(key, 0) == store.usage(DAEMON_SCOPE, 0) == []

    def test_what_a_copied_log_says_was_used_by_its_source(self, store: Store) -> None:
        create(store, "a", changes=changes_of(used("m", 1.0)))
        fork = create(store, "b", copying=True)
        store.append([Append(fork, (), changes_of(used("m", 1.0)))])
        store.append([Append(fork, (), [Upsert("sessions", "", (("state", "active"),))])])
        assert store.usage(fork, 0) == []
        store.append([Append(fork, (), changes_of(used("m", 4.0)))])
        assert [row.amount for row in store.usage(fork, 0)] == [4.0]
        assert [row.amount for row in store.usage(DAEMON_SCOPE, 0)] == [5.0]

    def test_what_a_deleted_session_used_stays_in_the_total_alone(self, store: Store) -> None:
        key = create(store, changes=changes_of(used("m", 1.0)))
        store.mark_deleted(key, ())
        assert store.leftovers() == [key]
        assert not store.purge(key, 10)
        assert store.leftovers() == []
        assert store.usage(key, 0) == []
        assert [row.amount for row in store.usage(DAEMON_SCOPE, 0)] == [1.0]

    def test_figures_beyond_all_reason_are_cut_so_that_sums_go_on(self, store: Store) -> None:
        absurd = Usage(input=2**70, output=2**63, cache_read=-5)
        key = create(store)
        for _ in range(3):
            store.append([Append(key, (), changes_of(used("m", 0.0, absurd)))])
        (row,) = store.usage(key, 0)
        assert (row.steps, row.input, row.output, row.cache_read) == (3, 3 * 2**40, 3 * 2**40, 0)

    @PROPERTY
    @given(deeds=DEEDS, since=TIMES)
    def test_the_rows_of_usage_are_the_fold_of_the_events(
        self, store: Store, deeds: list[Say | Fork | Delete], since: int
    ) -> None:
        """Of any sessions, forked and deleted as you like: examples are told apart by their name."""
        spending = Spending(store, f"example {next(_serials)}")
        for deed in deeds:
            spending.do(deed)
        since -= since % QUARTER_MS
        for begin in (0, since):
            assert spending.stored(None, begin) == spending.of_all(begin)
            for life in spending.alive:
                assert spending.stored(life, begin) == spending.of_session(life, begin)
                assert by_name(store.usage(life.key, begin)) == spending.of_session(life, begin)
            for life in spending.gone:
                assert store.usage(life.key, begin) == []

    # Removing -----------------------------------------------------------------------------------------

    def test_a_deleted_session_is_found_as_such_and_its_id_stays_taken(self, store: Store) -> None:
        key = create(store, first=rows(1, 2), changes=changes_of(prompt("p1")))
        store.mark_deleted(key, [remember()])
        found = store.find_session("s")
        assert found is not None
        assert found.state == "deleted"
        assert store.list_sessions(cwd=None, archived=True, before=None, limit=10) == []
        assert store.unfinished_sessions() == []
        assert found_key(store) is not None
        with pytest.raises(StoreConflict):
            create(store)

    def test_with_a_session_goes_the_key_that_is_its_id_and_no_other(self, store: Store) -> None:
        def key_of(client: str, name: str) -> InsertKey:
            return InsertKey(DAEMON_SCOPE, client, "session/create", name, b"d", b"{}", 5)

        kept = [key_of("client", "s"), key_of("", "other"), key_of("client", "k")]
        key = create(store, "s", changes=[key_of("", "s"), *kept])
        store.mark_deleted(key, ())
        assert store.find_key(DAEMON_SCOPE, "", "session/create", "s") is None
        for change in kept:
            assert store.find_key(DAEMON_SCOPE, change.client, change.method, change.key) is not None

    def test_a_purge_removes_so_many_rows_at_a_time(self, store: Store) -> None:
        key = create(store, first=rows(1, 5), changes=[remember(scope=None)])
        other = create(store, "other", first=rows(1, 5))
        store.mark_deleted(key, ())
        assert store.purge(key, 2)
        assert everything(store, key) == rows(3, 5)
        assert store.leftovers() == [key]
        assert store.purge(key, 2)
        assert not store.purge(key, 2)
        assert everything(store, key) == []
        assert found_key(store, scope=key) is None
        assert store.leftovers() == []
        assert everything(store, other) == rows(1, 5)

    def test_a_purge_cut_short_after_the_last_event_is_a_leftover(self, store: Store) -> None:
        key = create(store, first=rows(1, 4), changes=changes_of(prompt("p1"), run_started("r1", "p1")))
        store.mark_deleted(key, ())
        assert store.purge(key, 4)
        assert everything(store, key) == []
        assert store.leftovers() == [key]
        assert not store.purge(key, 4)
        assert store.find_run(key, run="r1") is None
        assert store.leftovers() == []

    def test_a_session_that_is_being_copied_is_a_leftover_until_it_is_active(self, store: Store) -> None:
        key = create(store, first=rows(1, 1), copying=True)
        assert store.leftovers() == [key]
        assert store.list_sessions(cwd=None, archived=True, before=None, limit=10) == []
        store.append([Append(key, (), [Upsert("sessions", "", (("state", "active"),))])])
        assert store.leftovers() == []
        assert [item.key for item in store.list_sessions(cwd=None, archived=True, before=None, limit=10)] == [
            key
        ]

    def test_the_id_of_a_session_whose_copying_was_cut_short_is_free_again(self, store: Store) -> None:
        key = create(store, first=rows(1, 1), copying=True)
        assert not store.purge(key, 10)
        assert store.leftovers() == []
        assert store.find_session("s") is None
        create(store, first=rows(1, 1))

    # Opening again --------------------------------------------------------------------------------------

    @pytest.mark.parametrize("orderly", [True, False])
    def test_what_was_stored_is_there_after_the_next_start(self, bench: Bench, orderly: bool) -> None:
        store = bench.open()
        large = row(3, "x" * 2 * SPILL_BYTES)
        said = changes_of(prompt("p1"), used("m", 0.5))
        key = create(store, first=rows(1, 2), changes=[remember(), *said])
        rule = RuleRow("u1", "allow", "shell", False, "make", None, "/", "ann", 2)
        token = TokenRow("t1", "phone", "approver", b"digest", 1)
        store.append([Append(key, [large], [InsertRule(rule)])])
        store.insert_token(token)
        if orderly:
            store.close()
        again = bench.open()
        found = again.find_session("s")
        assert found is not None
        assert (found.key, found.head, found.epoch) == (key, 3, "epoch of s")
        assert everything(again, key) == [*rows(1, 2), large]
        assert found_key(again) is not None
        assert again.find_prompt_status(key, "p1") == "queued"
        assert (again.rules(), again.tokens()) == ([rule], [token])
        assert [row.amount for row in again.usage(key, 0)] == [0.5]
        assert again.usage(DAEMON_SCOPE, 0) == again.usage(key, 0)
        again.append([Append(key, rows(4, 4), [])])
        again.close()

    def test_a_log_of_a_newer_release_is_refused_and_left_alone(self, bench: Bench) -> None:
        store = bench.open()
        create(store, first=rows(1, 2))
        store.close()
        bench.make_newer()
        for _ in range(2):
            with pytest.raises(StoreError, match="schema"):
                bench.open()

    def test_the_engine_has_a_name(self, store: Store) -> None:
        assert store.library

    # All of it ------------------------------------------------------------------------------------------

    @PROPERTY
    @given(
        transactions=st.lists(
            st.lists(
                st.tuples(st.integers(0, 2), st.integers(-1, 1), st.integers(0, 3)), min_size=1, max_size=3
            ),
            max_size=12,
        )
    )
    def test_any_sequence_of_appends_leaves_each_log_dense_and_in_order(
        self, store: Store, transactions: list[list[tuple[int, int, int]]]
    ) -> None:
        """An append is (session, distance from its right place, events); one wrong spoils the transaction."""
        serial = next(_serials)
        keys = [create(store, f"{serial}.{number}") for number in range(3)]
        expected: list[list[EventRow]] = [[], [], []]
        for transaction in transactions:
            heads = [len(log) for log in expected]
            appends, right = [], True
            for number, off, count in transaction:
                first = heads[number] + 1 + off
                found = [row(seq, f"{serial}") for seq in range(first, first + count)]
                right = right and (off == 0 or not found)
                appends.append(Append(keys[number], found, ()))
                heads[number] += count
            if right:
                store.append(appends)
                for append in appends:
                    expected[keys.index(append.session)] += append.rows
            else:
                with pytest.raises(StoreConflict):
                    store.append(appends)
        assert [everything(store, key) for key in keys] == expected


_serials = itertools.count()


def _remove(store: Store, key: int) -> None:
    store.mark_deleted(key, ())
    while store.purge(key, 100):
        pass
