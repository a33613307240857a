"""What tests of several folders share: where a daemon under test lives, and in which library it runs.

This file's place puts `tests/` on the path, so that `fakes` and `conversations` can be imported.
"""

import inspect
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sniffio

pytest.register_assert_rewrite("conversations", "fakes")

from fakes.home import Home, temporary_home  # noqa: E402 - what it imports is to be rewritten too


@pytest.fixture
def home() -> Iterator[Home]:
    """A daemon's directories below one short path, removed afterwards."""
    with temporary_home() as made:
        yield made


@contextmanager
def asyncio_named(*, is_async: bool) -> Iterator[None]:
    """Say which library runs, as `anyio.run` does: callbacks of the loop have no task to tell it by."""
    if not is_async:
        yield
        return
    token = sniffio.current_async_library_cvar.set("asyncio")
    try:
        yield
    finally:
        sniffio.current_async_library_cvar.reset(token)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    with asyncio_named(is_async=item.get_closest_marker("asyncio") is not None):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any) -> Generator[None, Any, Any]:
    function = inspect.unwrap(fixturedef.func)
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    with asyncio_named(is_async=is_async):
        return (yield)
