"""What tests of several folders share: where a daemon under test lives.

This file's place puts `tests/` on the path, so that `fakes` and `conversations` can be imported.
"""

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("conversations", "fakes")

from fakes.home import Home, temporary_home  # noqa: E402 - what it imports is to be rewritten too


@pytest.fixture
def home() -> Iterator[Home]:
    """A daemon's directories below one short path, removed afterwards."""
    with temporary_home() as made:
        yield made
