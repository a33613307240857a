"""What a demo leaves to be judged: who saw what, and what lies on the disk. Pure."""

from typing import Literal

import msgspec

from holdfast_client.core.tail import AnyEvent

Events = tuple[AnyEvent, ...]

Moment = Literal["A began", "A ended", "B began", "B ended"]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One demo, from outside.

    Attributes:
        log_a: session A's log in the end, as the daemon gives it page by page.
        log_b: session B's.
        client_1: what each process of client 1 wrote down, the one that was killed first.
        client_2: what client 2 received of A.
        client_b: what a client received of B while it ran.
        client_2_id: who client 2 is to the daemon.
        before_kill: what client 1 had written down when the daemon was killed.
        daemon_pids: the daemon's processes, in their order.
        asked: the open requests of A, before the daemon was killed and after it was started again.
        moments: what was seen of both sessions' runs, in the order in which it was seen.
        source_before: the module with the mistake, as it was copied.
        source_after: the same in the end.
        test_runs: how often the tests ran, as they themselves tell.
    """

    log_a: Events
    log_b: Events
    client_1: tuple[Events, ...]
    client_2: Events
    client_b: Events
    client_2_id: str
    before_kill: Events
    daemon_pids: tuple[int, ...]
    asked: tuple[tuple[str, ...], ...]
    moments: tuple[Moment, ...]
    source_before: str
    source_after: str
    test_runs: int
