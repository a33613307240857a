"""Plugins on disk, for tests."""

import textwrap
from pathlib import Path

HEAD = "name: sample\nversion: '1'\n"


def make_plugin(place: Path, manifest: str = "", name: str = "sample", **files: str) -> Path:
    """Make a plugin's folder. `files` are modules without `.py`; a manifest gets a head unless it has one."""
    folder = place / name
    folder.mkdir(parents=True, exist_ok=True)
    text = textwrap.dedent(manifest)
    head = "" if text.startswith("name:") else HEAD.replace("sample", name)
    (folder / "plugin.yaml").write_text(head + text)
    for module, source in files.items():
        (folder / f"{module}.py").write_text(textwrap.dedent(source))
    return folder
