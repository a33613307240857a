"""Rules about source files that no linter checks."""

import ast
from pathlib import Path

import pytest

# Written in two halves so that this file obeys its own rule.
REGISTRIES = ("pypi" + ".org", "files.pythonhosted" + ".org", "registry.npmjs" + ".org")
MACHINE_PATHS = ("/wo" + "rk/", "/root/" + ".")


def _is_check(node: ast.AST) -> bool:
    """Tell whether a statement can fail a test by itself: an assertion, or an expected exception."""
    if isinstance(node, ast.Assert):
        return True
    return isinstance(node, ast.Attribute) and node.attr in {"raises", "fail", "warns"}


def _imports(tree: ast.AST) -> set[str]:
    """Give the top-level names of the modules a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def test_every_test_file_can_fail(root: Path, python_files: list[Path]) -> None:
    test_files = [path for path in python_files if path.name.startswith("test_")]
    harmless = [
        str(path.relative_to(root))
        for path in test_files
        if not any(_is_check(node) for node in ast.walk(_parse(path)))
    ]
    assert test_files
    assert harmless == []


def test_nothing_imports_the_interpreters_sqlite(root: Path, python_files: list[Path]) -> None:
    importers = [str(path.relative_to(root)) for path in python_files if "sqlite3" in _imports(_parse(path))]
    assert importers == []


@pytest.mark.parametrize(
    "source",
    ["import sqlite3", "def f():\n    from sqlite3 import connect", "import sqlite3.dbapi2 as db"],
)
def test_an_import_of_sqlite3_is_seen_wherever_it_stands(source: str) -> None:
    assert "sqlite3" in _imports(ast.parse(source))


@pytest.mark.parametrize("source", ["def test_x():\n    print(1)", "def test_x():\n    check = True"])
def test_a_test_file_without_a_check_is_seen(source: str) -> None:
    assert not any(_is_check(node) for node in ast.walk(ast.parse(source)))


def test_no_file_names_a_machines_paths_or_a_package_registry(root: Path, own_files: list[Path]) -> None:
    found = [
        f"{path.relative_to(root)}: {word}"
        for path in own_files
        if path.name != "uv.lock"  # It says where each wheel comes from.
        for word in (*REGISTRIES, *MACHINE_PATHS)
        if word.encode() in path.read_bytes()
    ]
    assert found == []
