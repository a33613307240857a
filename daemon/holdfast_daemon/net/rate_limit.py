"""A token bucket: so many requests a second, with a burst. Pure; the clock is an argument."""


class RateLimit:
    """One connection's allowance.

    Args:
        per_second: how fast it fills.
        burst: how much it holds.
    """

    def __init__(self, per_second: int, burst: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._left = float(burst)
        self._at = 0.0

    def take(self, now: float) -> float:
        """Take one; give 0, or the seconds until there is one again."""
        if self._at:
            self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self._per_second
        self._left -= 1
        return 0.0
