"""What tests of several folders share: where a daemon under test lives, and in which library it runs.

No test sees the keys, plugins and commands of whoever runs it.

This file's place puts `tests/` on the path, so that `fakes` and `conversations` can be imported.
"""

import inspect
import os
import tempfile
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


@pytest.fixture(autouse=True, scope="session")
def apart_from_the_machine() -> Iterator[None]:
    """Keep keys of providers and a person's own plugins and commands out of daemons in the test's process."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="hf") as empty:
        for name in [name for name in os.environ if name.endswith("_API_KEY")]:
            patch.delenv(name)
        patch.setenv("XDG_CONFIG_HOME", empty)
        yield


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
