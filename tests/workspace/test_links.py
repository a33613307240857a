"""Relative links between the documents lead somewhere."""

import re
from pathlib import Path

LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)(?:#[^)\s]*)?\)")


def test_every_relative_link_of_a_document_leads_to_a_file(root: Path, own_files: list[Path]) -> None:
    documents = [path for path in own_files if path.suffix == ".md"]
    broken = [
        f"{path.relative_to(root)}: {target}"
        for path in documents
        for target in LINK.findall(path.read_text(encoding="utf-8"))
        if not (path.parent / target).exists()
    ]
    assert len(documents) > 3
    assert broken == []
