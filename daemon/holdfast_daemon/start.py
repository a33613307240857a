"""The entry point of `holdfastd`: imports the daemon with the garbage collector at rest, then runs it."""

import gc

_THRESHOLDS = (10_000, 20, 50)
"""A daemon's objects live for milliseconds or for ever: looking among them more often finds nothing."""


def main() -> None:
    """Run `holdfastd`; see `__main__`."""
    gc.disable()  # Nothing that an import makes is garbage, and looking for some is a tenth of the start.
    from holdfast_daemon.__main__ import main as run  # noqa: PLC0415 - it is what is to be imported so

    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    gc.enable()
    run()
