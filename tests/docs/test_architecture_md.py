"""ARCHITECTURE.md names what is there, and leaves no module of the packages out."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")

PACKAGES = ("protocol/holdfast_protocol", "daemon/holdfast_daemon", "clients/python/holdfast_client")

# A name of a file or folder in backticks: with a suffix of ours, or ending with a slash.
PATH = re.compile(r"`([\w./-]+(?:\.(?:py|md|json|toml|importlinter)|/))`")


def _sections() -> dict[str, str]:
    """Give the code map: folder → text below its heading; what is above the first heading is of the root."""
    parts = re.split(r"^###? (.+)$", TEXT, flags=re.MULTILINE)
    found: dict[str, str] = {"": parts[0]}
    for heading, body in zip(parts[1::2], parts[2::2], strict=True):
        folder = heading if (ROOT / heading).is_dir() else ""
        found[folder] = found.get(folder, "") + body
    return found


SECTIONS = _sections()


def _named(folder: str) -> list[Path]:
    """Give the paths a section names: relative to its folder, or to the root."""
    found: list[Path] = []
    for name in PATH.findall(SECTIONS[folder]):
        inside = ROOT / folder / name
        found.append(inside if inside.exists() else ROOT / name)
    return found


def _modules(package: str) -> list[Path]:
    """Give a package's own modules and packages."""
    return [
        path
        for path in sorted((ROOT / package).iterdir())
        if (path.suffix == ".py" and path.name != "__init__.py") or (path / "__init__.py").exists()
    ]


def test_the_code_map_has_sections_for_folders():
    assert len([folder for folder in SECTIONS if folder]) > 10


@pytest.mark.parametrize("folder", SECTIONS, ids=lambda folder: folder or "the rest")
def test_every_path_it_names_exists(folder):
    missing = [str(path) for path in _named(folder) if not path.exists() and not _is_somewhere(path)]
    assert missing == []


def _is_somewhere(path: Path) -> bool:
    """Outside the code map a file may be named without its folder, if there is one of that name."""
    return path.parent == ROOT and any((ROOT / "daemon").rglob(path.name))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_at_the_top_of_a_package_is_named(package):
    """If this fails: say in the code map of ARCHITECTURE.md what the new module is."""
    named = {path.resolve() for folder in SECTIONS for path in _named(folder)}
    headed = {(ROOT / folder).resolve() for folder in SECTIONS if folder}
    modules = _modules(package)
    assert modules
    assert [str(path.relative_to(ROOT)) for path in modules if path.resolve() not in named | headed] == []


@pytest.mark.parametrize(
    "package", [path.name for path in _modules("daemon/holdfast_daemon") if path.is_dir()]
)
def test_every_module_of_the_daemon_is_named_but_for_families_of_files(package):
    """If this fails: say in the code map of ARCHITECTURE.md what the new module is."""
    folder = f"daemon/holdfast_daemon/{package}"
    families = tuple(re.findall(r"other `(\w+_)` files", SECTIONS[folder]))
    named = {path.resolve() for path in _named(folder)}
    missing = [path.name for path in _modules(folder) if path.resolve() not in named]
    assert [name for name in missing if not families or not name.startswith(families)] == []


def test_every_type_in_the_table_of_owners_is_a_class_somewhere():
    table = TEXT.partition("## Owners")[2].partition("## ")[0]
    owners = [
        name
        for row in re.findall(r"^\| [a-z].*$", table, re.MULTILINE)
        for name in re.findall(r"`([A-Z]\w+)`", row)
    ]
    sources = [
        path.read_text(encoding="utf-8") for top in PACKAGES[:2] for path in (ROOT / top).rglob("*.py")
    ]
    assert len(owners) > 10
    assert [name for name in owners if not any(f"class {name}" in source for source in sources)] == []


def test_its_invariants_are_numbered_without_gaps():
    section = TEXT.partition("## Invariants")[2].partition("\n## ")[0]
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", section, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 10
