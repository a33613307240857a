"""Make docs/transcripts: real commands in a real project that is not ours, as a person sees them.

    python .ci/transcripts.py [--check] [CHECKOUT]

The project is fetched as its source distribution, in the version that stands here, by pip; or CHECKOUT is a
directory that has it unpacked, which is copied. The first shell is a terminal of 80 columns, the second is
beside it. What differs from run to run (ids, times, directories) is made the same. With `--check` nothing is
written; the exit code says whether the transcript is what is shown now.
"""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shlex
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from time import monotonic
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
TRANSCRIPT = ROOT / "docs" / "transcripts" / "markdown.md"

PROJECT = "markdown"
VERSION = "3.11.3"

WAIT_S = 60.0
QUESTION = "paused: permission\n"
COLUMNS, LINES = 80, 30


class Step(NamedTuple):
    """A command in the first shell, and what the second shell answers while it runs.

    Attributes:
        about: a sentence for the reader.
        command: the arguments of `holdfast`.
        answer: options of `holdfast approve`; None if nothing is to be asked.
    """

    about: str
    command: tuple[str, ...]
    answer: tuple[str, ...] | None = None


class Ran(NamedTuple):
    """What was typed in a shell and what it showed, or a part of that."""

    shell: int
    shown: str


MARKDOWN = (
    Step("A session begins by looking around.", ("run", "--name", "No doubled words", "list files")),
    Step("It searches the whole tree.", ("run", "-c", "search for the the")),
    Step("It reads a file.", ("run", "-c", "read markdown/extensions/footnotes.py")),
    Step(
        "It runs the project's tests. A command asks in every mode; this one is allowed in the session.",
        ("run", "-c", "run python -m unittest -q"),
        ("--session",),
    ),
    Step(
        "It edits, once the second shell has allowed it.",
        (
            "run",
            "-c",
            "replace 'on the the contents' with 'on the contents' in markdown/extensions/footnotes.py",
        ),
        (),
    ),
    Step("It runs the tests again, and is not asked again.", ("run", "-c", "run python -m unittest -q")),
    Step("What was done stays in the log.", ("ps",)),
)

INTRODUCTION = f"""\
# A session in the source of Python-Markdown

Made by `python .ci/transcripts.py` in the unpacked source of Markdown {VERSION}: {{files}} files.
Two shells are open in it; the first is a terminal of {COLUMNS} columns.
The model is `offline/rehearsal`, [not an AI](../offline.md): it turns simple requests into real tool calls.
Ids, times and directories are made the same: they differ from run to run.
"""


class People:
    """Somebody with two shells in a project, and a holdfast of their own.

    Args:
        home: HOLDFAST_HOME; a short path.
        project: the working directory of both shells.
    """

    def __init__(self, home: Path, project: Path) -> None:
        programs = Path(sys.executable).parent
        self.home = home
        self.project = project
        self.environ = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(home),
            "HOLDFAST_HOME": str(home),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "NO_COLOR": "1",
        }

    def play(self, step: Step) -> list[Ran]:
        """Do a step; give what the shells show, in the order in which it is seen."""
        process, terminal = self._at_terminal(*step.command)
        shown: list[Ran] = []
        try:
            if step.answer is not None:
                shown.append(Ran(1, f"$ {line(step.command)}\n{_read(terminal, QUESTION)}"))
                shown += [self._beside("approvals"), self._beside("approve", self._asking(), *step.answer)]
            rest = _read(terminal, None)
            process.wait(WAIT_S)
        finally:
            process.kill()
            exit_code = process.wait()
            os.close(terminal)
        shown.append(Ran(1, rest if shown else f"$ {line(step.command)}\n{rest}"))
        _check(line(step.command), exit_code, rest)
        return shown

    def _beside(self, *arguments: str) -> Ran:
        """Run a command in the second shell."""
        ran = self._run(*arguments)
        _check(line(arguments), ran.returncode, ran.stderr)
        return Ran(2, f"$ {line(arguments)}\n{ran.stdout}{ran.stderr}")

    def _asking(self) -> str:
        """Give the short id of the session that asks for something."""
        return json.loads(self._run("approvals", "--json").stdout)["requests"][0]["sessionId"][:8]

    def stop(self) -> None:
        """End the daemon."""
        self._run("stop", "--now")

    def _run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["holdfast", *arguments],
            executable=Path(sys.executable).with_name("holdfast"),
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=WAIT_S,
            cwd=self.project,
            env=self.environ,
        )

    def _at_terminal(self, *arguments: str) -> tuple["subprocess.Popen[bytes]", int]:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        process = subprocess.Popen(
            ["holdfast", *arguments],
            executable=Path(sys.executable).with_name("holdfast"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=self.project,
            env=self.environ,
        )
        os.close(theirs)
        return process, ours


def line(arguments: tuple[str, ...]) -> str:
    """Give a command as a person types it."""
    return " ".join(("holdfast", *map(_quoted, arguments)))


def _quoted(word: str) -> str:
    return f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)


def _check(command: str, exit_code: int, said: str) -> None:
    if exit_code != 0:
        raise RuntimeError(f"{command} ended with {exit_code}: {said}")


def _read(terminal: int, until: str | None) -> str:
    """Read what a terminal shows up to and with a line, or to its end."""
    shown = ""
    give_up_at = monotonic() + WAIT_S
    with contextlib.suppress(OSError):  # EIO: the last writer has gone.
        while until is None or until not in shown:
            if not select.select([terminal], [], [], max(0.0, give_up_at - monotonic()))[0]:
                raise TimeoutError(f"this is all: {shown}")
            shown += os.read(terminal, 65536).decode(errors="replace").replace("\r\n", "\n")
    return shown


# What is made the same ------------------------------------------------------------------------------------


def normalised(text: str, people: People) -> str:
    """Make what differs from run to run the same."""
    text = text.replace(str(people.project), "~/markdown").replace(str(people.home), "~/.holdfast")
    text = re.sub(r"\b\d+(\.\d+)? ?(ms|s)\b", "… s", text)
    text = re.sub(r"\bshell-[0-9a-f]{16}\b", "the second shell", text)
    text = re.sub(r"\babout [\d,]+ tokens in\b", "about … tokens in", text)
    return re.sub(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8}(?:[0-9a-f]{12})?\b", "5e551041", text)


# The document ---------------------------------------------------------------------------------------------


def document(people: People, steps: tuple[Step, ...], introduction: str) -> str:
    """Do the steps, and give the document.

    Raises:
        RuntimeError: a command ended with something else than 0.
        TimeoutError: a terminal did not show what it has to.
    """
    parts = [introduction.format(files=sum(path.is_file() for path in people.project.rglob("*"))).strip()]
    for step in steps:
        parts.append(step.about)
        for shell, ran in groupby(people.play(step), key=lambda ran: ran.shell):
            if step.answer is not None:
                parts.append("In the second shell:" if shell == 2 else "In the first shell:")
            shown = "\n".join(normalised(one.shown, people).rstrip() for one in ran)
            parts.append(f"```console\n{_trimmed(shown)}\n```")
    return "\n\n".join(parts) + "\n"


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n"))


@contextmanager
def people_in(checkout: Path) -> Iterator[People]:
    """Put people into a copy of a checkout; nothing is left of it."""
    home = Path(tempfile.mkdtemp(prefix="hf"))
    people = People(home, home / PROJECT)
    try:
        shutil.copytree(checkout, people.project)
        yield people
    finally:
        people.stop()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def fetched() -> Iterator[Path]:
    """Fetch the project's source distribution, and unpack it."""
    with tempfile.TemporaryDirectory() as folder:
        options = ("-q", "--no-deps", "--no-binary", ":all:", "-d", folder)
        pip = (shutil.which("python3", path=_path_outside()) or "python3", "-m", "pip")
        subprocess.run([*pip, "download", *options, f"{PROJECT}=={VERSION}"], check=True)
        archive = next(Path(folder).glob("*.tar.gz"))
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")
        yield Path(folder) / f"{PROJECT}-{VERSION}"


def _path_outside() -> str:
    """Give the PATH without this environment, which may have no pip."""
    inside = str(Path(sys.executable).parent)
    return os.pathsep.join(place for place in os.environ["PATH"].split(os.pathsep) if place != inside)


def main() -> int:
    """Make the transcript, or look whether it is fresh."""
    arguments = [word for word in sys.argv[1:] if word != "--check"]
    source = contextlib.nullcontext(Path(arguments[0])) if arguments else fetched()
    with source as checkout, people_in(checkout) as people:
        text = document(people, MARKDOWN, INTRODUCTION)
    if "--check" in sys.argv[1:]:
        return int(TRANSCRIPT.read_text(encoding="utf-8") != text)
    TRANSCRIPT.parent.mkdir(exist_ok=True)
    TRANSCRIPT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
