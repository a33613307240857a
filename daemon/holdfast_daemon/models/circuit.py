"""Leaves a provider alone that fails again and again: one circuit for each provider, address and key.

Closed, it lets everything through. So many failures in a row, within a time, open it: nothing is sent for a
while, and who asks is told how long. Then one request is let through; it closes the circuit or opens it anew.
Only what says that the provider is ill counts: a wrong key or request, or a rate limit, does not.
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Final

import msgspec

from holdfast_daemon.models.errors import Fault, ModelErrorKind

_COUNTED: Final[frozenset[ModelErrorKind]] = frozenset(
    ("overloaded", "server", "timeout", "transport", "truncated")
)
_TRIAL_WAIT_S: Final = 1.0
"""What those are told who ask while one request tries whether the provider is well again."""

CIRCUITS_MAX: Final = 256
"""Circuits that are kept; each is one provider at one address with one key."""


class CircuitPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When a circuit opens, and for how long. Times in seconds.

    Attributes:
        failures_max: in a row; the last of them opens it.
        window_s: in which they come; older ones are forgotten.
        open_s: how long nothing is sent.
    """

    failures_max: int = 5
    window_s: float = 30.0
    open_s: float = 30.0


class Circuit:
    """One circuit.

    Args:
        policy: see there.
        clock: gives a time in seconds that never goes back.
    """

    def __init__(self, policy: CircuitPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._clock = clock
        self._failed_at: list[float] = []  # The failures since the last success, oldest first; bounded.
        self._open_until: float | None = None  # None: closed. In the past: one request may try.
        self._tried = False  # The one request is under way.
        self._last: ModelErrorKind = "server"  # Of the failures.

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost if it were forgotten."""
        return not self._failed_at and self._open_until is None

    @contextmanager
    def request(self) -> Generator[Callable[[], None]]:
        """Let a request through, and learn from how it ends; a cancelled one teaches nothing.

        Gives what is to be called when an answer begins, once or often: nobody waits for its end.

        Raises:
            Fault: `circuit_open`, with the time to wait; or what the request raises.
        """
        trial = self._admit()
        try:
            yield self._recover
        except Fault as fault:
            if fault.kind in _COUNTED:
                self._fail(fault.kind, trial=trial)
            else:
                self._recover()  # It answered; that the request is refused says nothing against it.
            raise
        finally:
            if trial:
                self._tried = False

    def _admit(self) -> bool:
        """Let a request through; tell whether it is the one that tries."""
        if self._open_until is None:
            return False
        left_s = self._open_until - self._clock()
        if left_s > 0 or self._tried:
            wait_ms = int(max(left_s, _TRIAL_WAIT_S) * 1000)
            raise Fault("circuit_open", f"the last failure was `{self._last}`.", retry_after_ms=wait_ms)
        self._tried = True
        return True

    def _fail(self, kind: ModelErrorKind, *, trial: bool) -> None:
        now = self._clock()
        self._last = kind
        begin = now - self._policy.window_s
        self._failed_at = [at for at in (*self._failed_at, now) if at > begin][-self._policy.failures_max :]
        if trial or len(self._failed_at) >= self._policy.failures_max:
            self._open_until = now + self._policy.open_s

    def _recover(self) -> None:
        if not self.idle:
            self._failed_at.clear()
            self._open_until = None
            self._tried = False


class Circuits:
    """The circuits of one daemon, made when they are first needed.

    Args:
        policy: of all of them.
        clock: as of `Circuit`.
    """

    def __init__(
        self, policy: CircuitPolicy | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._policy = policy or CircuitPolicy()
        self._clock = clock
        self._circuits: dict[bytes, Circuit] = {}  # By a digest: no key is kept here. Oldest use first.

    def of(self, provider: str, base_url: str, key: str) -> Circuit:
        """Give the circuit of a provider at an address with a key."""
        name = blake2b(f"{provider}\0{base_url}\0{key}".encode(), digest_size=16).digest()
        circuit = self._circuits.pop(name, None) or Circuit(self._policy, self._clock)
        self._circuits[name] = circuit
        self._forget()
        return circuit

    def _forget(self) -> None:
        """Keep to the bound: those go first of which nothing is known, then those not used for longest."""
        if len(self._circuits) > CIRCUITS_MAX:
            names = iter(self._circuits)
            idle = next((name for name in names if self._circuits[name].idle), None)
            del self._circuits[idle if idle is not None else next(iter(self._circuits))]
