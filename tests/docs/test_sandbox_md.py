"""docs/sandbox.md names what is protected and hidden, and its settings with their defaults."""

import re
from pathlib import Path

from holdfast_daemon.config import SandboxSettings
from holdfast_daemon.execution.protected_places import protection
from holdfast_daemon.execution.secret_places import secret_places

TEXT = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
UNITS = {"GiB": 1 << 30}


def _section(title: str) -> str:
    return TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_the_protected_places_of_a_directory_are_listed(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").touch()
    missing = protection((str(tmp_path),), "/nobody").missing
    (listed,) = [
        line for line in _section("What is protected").splitlines() if line.startswith("`.git/hooks`")
    ]
    assert set(re.findall(r"`([^`]+)`", listed)) == {
        str(Path(path).relative_to(tmp_path)) for path in missing
    }


def test_what_it_says_is_hidden_is_hidden():
    hidden = secret_places(Path("/home/me"), {"XDG_RUNTIME_DIR": "/run/me"})
    named = re.findall(r"`([./][^`]+)`", _section("What is hidden"))
    assert len(named) > 15
    assert [name for name in named if str(Path("/home/me", name)) not in hidden] == []


def test_its_limits_are_the_defaults():
    rows = re.findall(r"^\| `sandbox\.(\w+)` \| (\d+)(?: (\w+))? \|", TEXT, re.MULTILINE)
    told = {name: int(number) * UNITS.get(unit, 1) for name, number, unit in rows}
    settings = SandboxSettings()
    assert told == {
        name: getattr(settings, name) for name in settings.__struct_fields__ if name.endswith("_max")
    }
