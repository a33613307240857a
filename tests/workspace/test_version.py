"""One workspace, one version (design decision)."""

import re
import tomllib
from pathlib import Path
from typing import Any

from holdfast_protocol.version import VERSION


def _project(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def test_every_distribution_of_the_workspace_has_the_one_version(root: Path) -> None:
    workspace = _project(root / "pyproject.toml")
    members = workspace["tool"]["uv"]["workspace"]["members"]
    versions = {
        member: _project(root / member / "pyproject.toml")["project"]["version"] for member in members
    }
    versions["."] = workspace["project"]["version"]
    assert len(members) >= 3
    assert versions == dict.fromkeys(versions, VERSION)


def test_the_changelog_begins_with_what_is_unreleased_or_with_this_version(root: Path) -> None:
    headings = re.findall(r"^## \[(.+?)\]", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] in {"Unreleased", VERSION}
    released = [heading for heading in headings if heading != "Unreleased"]
    assert released[:1] in ([], [VERSION])
