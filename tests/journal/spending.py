"""Sessions that use models, are forked and deleted, on any store; and what they used, by their events.

The fold looks at the events alone: it knows nothing of projections and rows.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from holdfast_daemon.journal import projections
from holdfast_daemon.journal.store import (
    DAEMON_SCOPE,
    Append,
    EventRow,
    NewSession,
    Store,
    Upsert,
    UsageRow,
)
from holdfast_protocol import events
from holdfast_protocol.events import Cost, Usage

QUARTER_MS = 15 * 60 * 1000

TIMES = st.integers(0, 4 * QUARTER_MS)

_TOKENS = st.integers(0, 2**40)

_COSTS = st.none() | st.builds(
    # Sums of such amounts are exact, whatever their order.
    lambda amount, currency: Cost(amount=amount / 1024, currency=currency),
    st.integers(0, 2**20),
    st.sampled_from(["USD", "EUR"]),
)

_USAGES = st.builds(
    Usage,
    input=_TOKENS,
    cache_read=_TOKENS,
    cache_write_5m=_TOKENS,
    cache_write_1h=_TOKENS,
    output=_TOKENS,
    reasoning=_TOKENS,
    estimated=st.booleans(),
)

_MODELS = st.sampled_from(["a/one", "b/two"])

EVENTS = st.one_of(
    st.builds(lambda model: events.RunStarted(run_id="r", prompt_id="p", agent="chat", model=model), _MODELS),
    st.builds(
        lambda model, usage, cost: events.UsageUpdated(
            run_id="r", model=model, step=1, usage=usage, cost=cost
        ),
        _MODELS,
        _USAGES,
        _COSTS,
    ),
    st.just(events.Notice(kind="test", message="Nothing was used.")),
)


class Say(NamedTuple):
    """A session says something."""

    session: int
    at: int
    event: Any


class Fork(NamedTuple):
    """A session is forked behind a share of its log."""

    session: int
    share: float


class Delete(NamedTuple):
    """A session is deleted."""

    session: int


_SESSIONS = st.integers(0, 5)

DEEDS = st.lists(
    st.one_of(
        st.builds(Say, _SESSIONS, TIMES, EVENTS),
        st.builds(Say, _SESSIONS, TIMES, EVENTS),
        st.builds(Fork, _SESSIONS, st.floats(0, 1)),
        st.builds(Delete, _SESSIONS),
    ),
    max_size=25,
)


class Told(NamedTuple):
    """An event in a log."""

    at: int
    event: Any
    copied: bool


class Life:
    """One session: its number in the store, and its log."""

    def __init__(self, key: int, log: list[Told]) -> None:
        self.key = key
        self.log = log


class Spending:
    """Sessions on a store.

    Args:
        store: where they are; may hold others.
        name: of these sessions and of their models, so that others' are told apart.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.alive: list[Life] = []
        self.gone: list[Life] = []
        self._name = name
        self._made = 0
        self.alive.append(Life(self._create(copying=False), []))

    def do(self, deed: Say | Fork | Delete) -> None:
        """Do it to the session of that number, counted around; not if there is none."""
        if not self.alive:
            return
        life = self.alive[deed.session % len(self.alive)]
        match deed:
            case Say():
                named = {"model": f"{self._name} {deed.event.model}"} if hasattr(deed.event, "model") else {}
                self._append(life, Told(deed.at, msgspec.structs.replace(deed.event, **named), copied=False))
            case Fork():
                self._fork(life, int(len(life.log) * deed.share))
            case Delete():
                self.alive.remove(life)
                self.gone.append(life)
                self.store.mark_deleted(life.key, ())
                while self.store.purge(life.key, 3):
                    pass

    def of_session(self, life: Life, since: int = 0) -> dict[tuple[Any, ...], list[Any]]:
        """Fold what a session used."""
        return fold((told for told in life.log if not told.copied), since)

    def of_all(self, since: int = 0) -> dict[tuple[Any, ...], list[Any]]:
        """Fold what all sessions used, deleted ones too."""
        lives = [*self.alive, *self.gone]
        return fold((told for life in lives for told in life.log if not told.copied), since)

    def stored(self, life: Life | None, since: int = 0) -> dict[tuple[Any, ...], list[Any]]:
        """Give what the store says a session used, or all of these."""
        rows = self.store.usage(life.key if life else DAEMON_SCOPE, since)
        return by_name(row for row in rows if row.model.startswith(f"{self._name} "))

    def _create(self, *, copying: bool) -> int:
        self._made += 1
        new = NewSession(f"{self._name}.{self._made}", "epoch", "/", "chat", "m", None, "{}", 1)
        return self.store.create_session(new, Append(0, (), ()), copying=copying)

    def _append(self, life: Life, *told: Told) -> None:
        for one in told:
            life.log.append(one)
            seq = len(life.log)
            body = msgspec.json.encode(msgspec.structs.replace(one.event, seq=seq, at=one.at))
            row = EventRow(seq, events.type_of(one.event), "r", one.at, body)
            changes = projections.changes_of(one.event, seq, one.at)
            self.store.append([Append(life.key, [row], changes)])

    def _fork(self, source: Life, upto: int) -> None:
        fork = Life(self._create(copying=True), [])
        self._append(fork, *(told._replace(copied=True) for told in source.log[:upto]))
        origin = msgspec.json.encode({"sessionId": "source", "epoch": "e", "seq": upto}).decode()
        active = Upsert("sessions", "", (("forked", origin), ("state", "active")))
        self.store.append([Append(fork.key, (), [active])])
        self.alive.append(fork)


def fold(told: Iterable[Told], since: int) -> dict[tuple[Any, ...], list[Any]]:
    """Add up what events say, by model, source and currency."""
    found: dict[tuple[Any, ...], list[Any]] = {}
    for at, event, _ in told:
        if at // QUARTER_MS < since // QUARTER_MS:
            continue
        if isinstance(event, events.RunStarted):
            found.setdefault((event.model, False, ""), [0] * 9 + [0.0])[0] += 1
        if isinstance(event, events.UsageUpdated):
            usage, cost = event.usage, event.cost
            said = [0, 1, 0 if cost else 1, usage.input, usage.cache_read, usage.cache_write_5m]
            said += [usage.cache_write_1h, usage.output, usage.reasoning, cost.amount if cost else 0.0]
            name = (event.model, usage.estimated, cost.currency if cost else "")
            before = found.get(name, [0] * 9 + [0.0])
            found[name] = [left + right for left, right in zip(before, said, strict=True)]
    return found


def by_name(rows: Iterable[UsageRow]) -> dict[tuple[Any, ...], list[Any]]:
    """Give rows as `fold` does; no two may have the same name."""
    listed = [(tuple(row[:3]), list(row[3:])) for row in rows]
    found = dict(listed)
    assert len(found) == len(listed)
    return found
