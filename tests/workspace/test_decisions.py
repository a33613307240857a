"""Decision records keep their shape and are listed (docs/decisions/README.md)."""

import re
from pathlib import Path

SECTIONS = ["Context", "Options", "Decision", "Consequences"]
STATUS = re.compile(r"^Status: (proposed|accepted|superseded by \d{4})$", re.MULTILINE)


def _records(root: Path) -> list[Path]:
    return sorted((root / "docs" / "decisions").glob("[0-9]*.md"))


def _headings(path: Path) -> list[str]:
    return re.findall(r"^## (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_record_has_the_four_sections_in_order(root: Path) -> None:
    records = _records(root)
    assert records
    wrong = {path.name: _headings(path) for path in records if _headings(path) != SECTIONS}
    assert wrong == {}


def test_the_template_has_the_four_sections_in_order(root: Path) -> None:
    assert _headings(root / "docs" / "decisions" / "template.md") == SECTIONS


def test_every_record_has_a_status_and_its_number_in_the_title(root: Path) -> None:
    wrong: list[str] = []
    for path in _records(root):
        text = path.read_text(encoding="utf-8")
        if not STATUS.search(text) or not text.startswith(f"# {path.name[:4]}: "):
            wrong.append(path.name)
    assert wrong == []


def test_numbers_are_consecutive_and_used_once(root: Path) -> None:
    numbers = [int(path.name[:4]) for path in _records(root)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_record_is_listed_in_the_index_with_its_title(root: Path) -> None:
    index = (root / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    missing: list[str] = []
    for path in _records(root):
        title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix(f"# {path.name[:4]}: ")
        if f"[{path.name[:4]}]({path.name}) {title}" not in index:
            missing.append(path.name)
    assert missing == []
