"""The scripts that documentation and examples show are scripts, and do what stands beside them."""

import re
from itertools import islice
from pathlib import Path

import pytest

from holdfast_daemon.models.base import ModelError, StepCompleted
from holdfast_daemon.models.offline_playback import Forever, Playback
from holdfast_daemon.models.offline_requests import HELP
from holdfast_daemon.models.offline_script import _ACTIONS, is_script, parse_script

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "offline.md").read_text(encoding="utf-8")
IN_DOCUMENT = re.findall(r"^```yaml\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
FILES = sorted((ROOT / "examples" / "scripts").glob("*.yaml"))

# What a step may end with, when it does not complete.
ITEMS_MAX = 100_000


def ends(text: str) -> list[str]:
    """Play a script; say of each step how it ended."""
    return [_end(Playback(step, 0)) for step in parse_script(text)]


def _end(playback: Playback) -> str:
    last = None
    try:
        for last in islice(playback.items(), ITEMS_MAX):
            if isinstance(last, Forever):
                return "hang"
    except ModelError as error:
        return error.info.kind
    return last.stop_reason if isinstance(last, StepCompleted) else "long"


def test_the_document_has_examples() -> None:
    assert len(IN_DOCUMENT) >= 9


@pytest.mark.parametrize("text", IN_DOCUMENT)
def test_every_example_of_the_document_runs(text: str) -> None:
    assert is_script(text)
    assert set(ends(text)) <= {"tool_use", "end_turn", "max_tokens", "overloaded", "protocol", "hang"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("error", ["overloaded"]),
        ("hang", ["hang"]),
        ("load", ["long"]),
        ("stream", ["end_turn"]),
        ("tools", ["tool_use", "tool_use", "tool_use", "end_turn"]),
    ],
)
def test_every_example_script_does_what_its_name_says(name: str, expected: list[str]) -> None:
    text = (ROOT / "examples" / "scripts" / f"{name}.yaml").read_text(encoding="utf-8")
    assert is_script(text)
    assert ends(text) == expected


def test_no_example_script_is_left_untested() -> None:
    assert [path.stem for path in FILES] == ["error", "hang", "load", "stream", "tools"]


def test_every_action_and_each_of_its_keys_is_documented() -> None:
    for key, (action_type, _) in _ACTIONS.items():
        assert f"| `{key}` |" in DOCUMENT
        names = [name for name in action_type.__struct_fields__ if name not in ("reason", "forever")]
        assert [name for name in names if f"`{name}`" not in DOCUMENT] == [] or key == "garbage"


def test_every_request_is_documented() -> None:
    for verb in re.findall(r"^- `(\w+)", HELP, re.MULTILINE):
        assert re.search(rf"^\| `{verb}\b", DOCUMENT, re.MULTILINE), verb
