"""The checkout, as the tests of this folder look at it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What tools put into a checkout; git ignores all of it.
NOT_OURS = frozenset({".git", ".tools", ".venv", "node_modules", "__pycache__", "dist"})


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the project's own files below a folder."""
    for path in sorted(folder.iterdir()):
        if path.name in NOT_OURS or path.name.endswith(("_cache", ".egg-info")) or path.name == ".hypothesis":
            continue
        if path.is_dir():
            yield from files_below(path)
        elif path.is_file():
            yield path


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def own_files() -> list[Path]:
    """Every file of the project, tests too."""
    return list(files_below(ROOT))


@pytest.fixture(scope="session")
def python_files(own_files: list[Path]) -> list[Path]:
    """Every Python file of the project, tests too."""
    return [path for path in own_files if path.suffix == ".py"]
