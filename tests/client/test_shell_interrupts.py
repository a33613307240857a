"""Ctrl-C as a state: counted, waking, and out of the way afterwards."""

import select
import signal
from pathlib import Path

import pytest

from holdfast_client.shell.interrupts import Interrupts


def test_each_interrupt_counts_and_wakes_a_wait() -> None:
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)

        assert select.select([interrupts], [], [], 5)[0]
        assert (interrupts.count, interrupts.leaving) == (1, False)

        interrupts.drain()

        assert not select.select([interrupts], [], [], 0)[0]

        signal.raise_signal(signal.SIGINT)

        assert interrupts.leaving


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_hanging_up_means_leaving_at_once(number: signal.Signals) -> None:
    with Interrupts() as interrupts:
        signal.raise_signal(number)

        assert interrupts.leaving


def test_the_third_ctrl_c_is_python_s_own() -> None:
    with Interrupts():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_forgetting_begins_anew() -> None:
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        interrupts.forget()
        signal.raise_signal(signal.SIGINT)

        assert not interrupts.leaving


def test_afterwards_signals_are_as_before_and_no_descriptor_is_left() -> None:
    before = signal.getsignal(signal.SIGINT)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) is not before

    assert signal.getsignal(signal.SIGINT) is before
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    """As `nohup`, or `&` in a script, left it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGHUP)

            assert interrupts.count == 0
    finally:
        signal.signal(signal.SIGHUP, before)
