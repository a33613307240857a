"""The store contract can be kept: a small store in memory keeps it."""

import pytest
from memory_store import SCHEMA_VERSION, Medium, MemoryStore
from store_contract import StoreContract


class MemoryBench:
    def __init__(self) -> None:
        self._medium = Medium()

    def open(self) -> MemoryStore:
        return MemoryStore(self._medium)

    def make_newer(self) -> None:
        self._medium.version = SCHEMA_VERSION + 1


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def bench(self) -> MemoryBench:
        return MemoryBench()


def test_the_suite_is_run_on_this_store() -> None:
    assert issubclass(TestMemoryStore, StoreContract)
