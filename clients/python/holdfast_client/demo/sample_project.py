"""The sample project with its failing test, and the scripts by which the offline model works on it.

The files are data beside this module: `sample/NAME.txt`, so that no tool takes them for code of ours, and
`scripts/NAME.yaml` (docs/offline.md).
"""

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

MODULE: Final = "stats.py"
"""The file with the mistake in it."""

_DATA: Final = Path(__file__).parent
_RUNS: Final = "test-runs.txt"
_COMMAND_PLACE: Final = "TEST_COMMAND"


def copy_to(directory: Path) -> None:
    """Copy the sample into a new directory."""
    directory.mkdir()
    for source in sorted((_DATA / "sample").glob("*.txt")):
        shutil.copyfile(source, directory / source.stem)


def test_command() -> str:
    """Give the command that runs the sample's tests: this Python, by its name."""
    return f"{shlex.quote(Path(sys.executable).name)} -m unittest"


def script(name: str) -> str:
    """Give a script as a prompt."""
    text = (_DATA / "scripts" / f"{name}.yaml").read_text(encoding="utf-8")
    return text.replace(f"command: {_COMMAND_PLACE}", f"command: {json.dumps(test_command())}")


def source_of(directory: Path) -> str:
    """Give the text of the module with the mistake."""
    return (directory / MODULE).read_text(encoding="utf-8")


def test_runs(directory: Path) -> int:
    """Count how often the tests were run, by the lines they left: not by anything we logged."""
    runs = directory / _RUNS
    return len(runs.read_text(encoding="utf-8").splitlines()) if runs.exists() else 0
