"""How long to wait before trying again. Knows no clock."""

from collections.abc import Callable
from typing import Final

BASE_S: Final = 0.05
"""The first wait is at most this: a connection that broke can be made again at once."""

CAP_S: Final = 1.0
"""No wait is longer: a daemon that comes back is noticed within a second."""

_DOUBLINGS_MAX: Final = 16  # Far above the cap; bounds the power.


class BackOff:
    """Waits with full jitter: anything from nothing up to a bound that doubles with each.

    So a thousand clients of a daemon that restarts do not all come at once.

    Args:
        draw: gives a random number in [0, 1).
        base_s: the bound of the first wait.
        cap_s: the bound of all waits.
    """

    def __init__(self, draw: Callable[[], float], base_s: float = BASE_S, cap_s: float = CAP_S) -> None:
        self._draw = draw
        self._base_s = base_s
        self._cap_s = cap_s
        self._tries = 0

    def next_s(self) -> float:
        """Give the next wait, in seconds."""
        bound_s = min(self._cap_s, self._base_s * 2 ** min(self._tries, _DOUBLINGS_MAX))
        self._tries += 1
        return self._draw() * bound_s

    def reset(self) -> None:
        """Begin anew: something worked."""
        self._tries = 0
