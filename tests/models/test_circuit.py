"""A provider that fails again and again is left alone for a while, by a clock of the test."""

import pytest
from vendor_models import completed, model_of, step

from fakes.vendors.script import VENDORS, Reply, Vendor
from holdfast_daemon.models.base import ModelError
from holdfast_daemon.models.circuit import CIRCUITS_MAX, Circuit, CircuitPolicy, Circuits
from holdfast_daemon.models.errors import Fault, ModelErrorKind
from holdfast_daemon.models.retry import RetryPolicy
from holdfast_daemon.models.sdk import Sdks

POLICY = CircuitPolicy(failures_max=3, window_s=30.0, open_s=20.0)


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _end(kind: ModelErrorKind | None) -> None:
    if kind is not None:
        raise Fault(kind)


def _ask(circuit: Circuit, kind: ModelErrorKind | None = None) -> ModelErrorKind | None:
    """Ask once; give what came of it."""
    try:
        with circuit.request() as answered:
            _end(kind)
            answered()
    except Fault as fault:
        return fault.kind
    return None


def test_so_many_failures_in_a_row_open_it_for_a_while() -> None:
    clock = _Clock()
    circuit = Circuit(POLICY, clock)
    for _ in range(3):
        assert _ask(circuit, "overloaded") == "overloaded"
    clock.now += 5
    with pytest.raises(Fault) as raised, circuit.request():
        raise AssertionError
    assert (raised.value.kind, raised.value.retry_after_ms) == ("circuit_open", 15_000)
    clock.now += 15
    assert _ask(circuit) is None
    assert [_ask(circuit, "server") for _ in range(2)] == ["server"] * 2  # Counted from the beginning.
    assert _ask(circuit) is None


def test_failures_further_apart_than_the_window_do_not_open_it() -> None:
    clock = _Clock()
    circuit = Circuit(POLICY, clock)
    for _ in range(10):
        assert _ask(circuit, "timeout") == "timeout"
        clock.now += 16


def test_an_answer_between_failures_makes_them_no_row() -> None:
    circuit = Circuit(POLICY, _Clock())
    for _ in range(5):
        assert [_ask(circuit, "transport"), _ask(circuit, "transport"), _ask(circuit)] == [
            "transport",
            "transport",
            None,
        ]


@pytest.mark.parametrize("kind", ["auth", "bad_request", "rate_limited", "context_too_long", "garbage"])
def test_what_says_nothing_against_the_provider_is_not_counted(kind: ModelErrorKind) -> None:
    circuit = Circuit(POLICY, _Clock())
    assert [_ask(circuit, kind) for _ in range(10)] == [kind] * 10


def test_after_the_while_one_request_tries_and_the_others_wait_for_its_answer() -> None:
    clock = _Clock()
    circuit = Circuit(POLICY, clock)
    for _ in range(3):
        _ask(circuit, "server")
    clock.now += 20
    with circuit.request() as answered:
        assert _ask(circuit) == "circuit_open"
        answered()
        assert _ask(circuit) is None  # Its answer has begun: nobody waits for its end.


def test_a_try_that_fails_opens_it_anew_and_one_that_is_cancelled_makes_room_for_another() -> None:
    clock = _Clock()
    circuit = Circuit(POLICY, clock)
    for _ in range(3):
        _ask(circuit, "server")
    clock.now += 20
    assert _ask(circuit, "overloaded") == "overloaded"
    assert _ask(circuit) == "circuit_open"
    clock.now += 20
    with pytest.raises(KeyboardInterrupt), circuit.request():
        raise KeyboardInterrupt
    assert _ask(circuit) is None


def test_each_provider_address_and_key_has_its_own_and_they_are_bounded() -> None:
    circuits = Circuits(POLICY, _Clock())
    broken = circuits.of("p", "https://p", "key 1")
    for _ in range(3):
        _ask(broken, "server")
    for other in (("q", "https://p", "key 1"), ("p", "https://q", "key 1"), ("p", "https://p", "key 2")):
        assert _ask(circuits.of(*other)) is None
    for number in range(2 * CIRCUITS_MAX):
        circuits.of("p", "https://p", f"other {number}")
    assert circuits.of("p", "https://p", "key 1") is broken  # What is known is kept longest.


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_provider_that_fails_on_and_on_is_not_asked_any_more(vendor: Vendor) -> None:
    retries = RetryPolicy(tries_max=6, base_s=0.001, retry_after_s_max=1.0)
    async with model_of(vendor, Reply(status=500, body="{}"), retries=retries) as (model, server):
        with pytest.raises(ModelError) as raised:
            await step(model)
        assert len(server.requests) == CircuitPolicy().failures_max
    info = raised.value.info
    assert (info.kind, info.retryable, info.provider) == ("circuit_open", True, f"fake-{vendor}")
    assert info.retry_after_ms is not None
    assert "`server`" in info.message  # Why, since the error that counts is an earlier one.


async def test_models_that_share_what_sends_share_what_is_known_of_their_provider() -> None:
    down = Reply(status=500, body="{}")
    sdks = Sdks()
    sdks.circuits = Circuits(CircuitPolicy(failures_max=2, open_s=0.0))
    async with model_of("chat", down, down, Reply(), sdks=sdks) as (model, server):
        for _ in range(2):
            with pytest.raises(ModelError):
                await step(model)
        completed(await step(model))  # Open for no time at all: the next one tries, and closes it.
        assert len(server.requests) == 3
    assert all(circuit.idle for circuit in sdks.circuits._circuits.values())
