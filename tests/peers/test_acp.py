"""The public SDKs' clients hold whole conversations with `holdfast acp`, and so does acpx.

Each message of either side is recorded on its way and held to the published schema of its own method.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PEERS = Path(__file__).parent
sys.path.insert(0, str(PEERS.parent / "acp"))

from published_schema import Watch  # noqa: E402 - it stands beside the bridge's own tests

CONVERSATION_S_MAX = 60.0
HOLDFAST = str(Path(sys.executable).with_name("holdfast"))


class Place:
    """Where a conversation takes place: a home with a daemon of its own, a directory, a record."""

    def __init__(self, home: Path) -> None:
        self.work = home / "work"
        self.work.mkdir()
        (self.work / "README.md").write_text("# On disk\n")
        self.record = home / "record"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),  # All that the Python SDK passes on: nothing else may say where the daemon is.
        }
        for name in ("PYTHONPATH", "NODE_PATH"):
            if name in os.environ:
                self.environ[name] = os.environ[name]

    @property
    def agent(self) -> list[str]:
        """The bridge behind the tap."""
        return [sys.executable, str(PEERS / "acp_tap.py"), str(self.record), HOLDFAST, "acp"]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.environ,
            cwd=self.work,
            capture_output=True,
            text=True,
            timeout=CONVERSATION_S_MAX,
            check=False,
        )

    def watched(self) -> Watch:
        """Hold all that was recorded to the schema."""
        watch = Watch()
        for line in self.record.read_bytes().splitlines():
            sender, _, message = line.partition(b" ")
            watch.see(sender.decode(), json.loads(message))
        return watch


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="hf") as directory:
        made = Place(Path(directory))
        try:
            yield made
        finally:
            stopped = made.run(HOLDFAST, "stop", "--now")
            assert stopped.returncode == 0, stopped.stderr


def found_by(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def check_record(place: Place, at_least: int) -> None:
    watch = place.watched()
    assert watch.violations == []
    assert watch.unanswered == []
    assert watch.checked >= at_least


def test_the_typescript_sdk_holds_a_conversation(place: Place, node: str) -> None:
    found = found_by(place.run(node, str(PEERS / "acp_client.mjs"), str(place.work), *place.agent))
    assert found["version"] == 1
    assert found["stops"] == [*["end_turn"] * 4, "cancelled"]
    assert found["said"][1].endswith("two")
    assert "From the buffer" in found["said"][0]
    assert found["asked"] == [["allow_once", "allow_always", "allow_always", "reject_once", "reject_always"]]
    assert (found["thinking"], found["mode"]) == ("low", ["accept_edits", "accept_edits"])
    assert found["replayed"].count("user_message_chunk") == 4
    assert (found["listed"], found["left"]) == (2, 1)
    check_record(place, 60)


def test_the_python_sdk_holds_a_conversation(place: Place) -> None:
    found = found_by(place.run(sys.executable, str(PEERS / "acp_client.py"), str(place.work), *place.agent))
    assert found["version"] == 1
    assert found["stops"] == [*["end_turn"] * 3, "cancelled"]
    assert found["said"][1].endswith("two")
    assert (found["asked"], found["options"]) == (1, 3)
    assert found["mode"] == ["accept_edits", "accept_edits"]
    assert found["replayed"].count("user_message_chunk") == 3
    assert (found["listed"], found["forked"]) == (2, True)
    assert (place.work / "made.txt").read_text() == "hello\n"
    check_record(place, 50)


@pytest.fixture
def acpx() -> str:
    command = PEERS / "node_modules" / ".bin" / "acpx"
    assert command.exists(), "acpx is not installed: npm ci --prefix tests/peers --ignore-scripts"
    assert shutil.which("node")
    return str(command)


def test_acpx_drives_a_session_end_to_end(place: Place, acpx: str) -> None:
    agent = ("--agent", " ".join(place.agent), "--approve-all", "--cwd", str(place.work))
    said = place.run(acpx, *agent, "exec", "say hello there")
    assert said.returncode == 0, said.stderr
    assert "hello there" in said.stdout
    for command in (
        ("sessions", "new"),
        ("prompt", "write made.txt: hello"),
        ("set-mode", "accept_edits"),
        ("cancel",),
        ("sessions", "close"),
    ):
        done = place.run(acpx, *agent, *command)
        assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
    assert (place.work / "made.txt").read_text() == "hello\n"
    assert place.watched().violations == []


def test_acpx_cancels_a_prompt_in_flight(place: Place, acpx: str) -> None:
    agent = ("--agent", " ".join(place.agent), "--approve-all", "--cwd", str(place.work))
    assert place.run(acpx, *agent, "sessions", "new").returncode == 0
    hanging = subprocess.Popen(
        [acpx, *agent, "--format", "json", "prompt", "script:\n  - text: I wait.\n    hang: true\n"],
        env=place.environ,
        cwd=place.work,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert hanging.stdout is not None
        while "I wait" not in hanging.stdout.readline():
            assert hanging.poll() is None, "the prompt ended before it was cancelled"
        cancelled = place.run(acpx, *agent, "cancel")
        assert cancelled.returncode == 0, cancelled.stderr
        hanging.communicate(timeout=CONVERSATION_S_MAX)
    finally:
        hanging.kill()
    watch = place.watched()
    assert watch.violations == []
    assert '"stopReason":"cancelled"' in place.record.read_text()
    place.run(acpx, *agent, "sessions", "close")
