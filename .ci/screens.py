"""Make the pictures of docs/screens: a real terminal, driven by tmux, with the offline model.

    python .ci/screens.py [--check]

Each picture is a text and an SVG of it. What differs from run to run (times, the directory) is made the same.
With `--check` nothing is written; the exit code says whether the texts in docs/screens are what is shown now.
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
SCREENS = ROOT / "docs" / "screens"

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "terminal")]

from tmux_world import People, Terminal  # noqa: E402 - it stands beside the tests that drive terminals

ANSWER = """\
script:
  - thinking: They want to know what the function does, and the name says one thing, the code another.
    call: {tool: read, input: {path: calc.py}}
  - text: |
      ## What it does

      `add` **subtracts**: its name says one thing, its code another.

      1. Replace `-` with `+`.
      2. Run the tests.

      ```python
      def add(a, b):
          return a + b
      ```
"""
WORK = """\
script:
  - call: {tool: todo, input: {entries: [
      {content: Find the mistake, priority: high, status: completed},
      {content: Run the tests, priority: high, status: in_progress},
      {content: Say what was wrong, priority: low, status: pending}]}}
  - text: I run the tests now.
    call: {tool: shell, input: {command: sh tests.sh}}
"""
NARROW = """\
script:
  - text: |
      **世界** and 你好 are two columns wide each, and a narrow terminal is no reason to break a word 🎉

      - one
      - two
    call: {tool: write, input: {path: 你好.txt, content: "世界\\n"}}
"""
TESTS = "for name in zero one negative large wide; do echo test_$name ... ok; done; read x < fifo\n"

SAME = (
    (re.compile(r"(after|for) [\d.]+ (?:ms|s)\b"), r"\1 0.1 s"),
    (re.compile(r"  \d+ s\b"), "  1 s"),
    (re.compile(r"  (?:\d+ ms|\d+\.\d s)\b"), "  0.1 s"),
    (re.compile("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]"), "⠋"),
    (re.compile(r"sandbox: \w+"), "sandbox: none"),
)
"""What differs from run to run, and what is shown instead. Escape sequences may stand between the words."""


def answer(terminal: Terminal, _cwd: Path) -> None:
    """A prompt, thinking that is folded, a tool call, Markdown."""
    terminal.paste(ANSWER)
    terminal.see("completed after")
    terminal.enter("/thinking")
    terminal.see("They want to know")


def approval(terminal: Terminal, _cwd: Path) -> None:
    """A diff before it is allowed."""
    terminal.enter("replace 'a - b' with 'a + b' in calc.py")
    terminal.see("[y] Allow once")


def working(terminal: Terminal, cwd: Path) -> None:
    """A plan, a tool that runs, a queue."""
    os.mkfifo(cwd / "fifo")
    (cwd / "tests.sh").write_text(TESTS)
    terminal.paste(WORK)
    terminal.see("[y] Allow once")
    terminal.press("y")
    terminal.see("test_wide")
    terminal.enter("say what was wrong, in one sentence")
    terminal.see("Queue (1, waiting)")


def narrow(terminal: Terminal, _cwd: Path) -> None:
    """Forty columns, and wide characters."""
    terminal.paste(NARROW)
    terminal.see("[n] Deny")


SCENES: dict[str, tuple[int, Callable[[Terminal, Path], None]]] = {
    "answer": (80, answer),
    "approval": (80, approval),
    "working": (80, working),
    "narrow": (40, narrow),
}


@contextmanager
def people() -> Iterator[People]:
    """A home that is gone afterwards."""
    made = People(Path(tempfile.mkdtemp(prefix="hf")))
    try:
        yield made
    finally:
        made.run("stop", "--now")
        shutil.rmtree(made.path, ignore_errors=True)


def shown(home: People, name: str) -> str:
    """Play a scene, and give what the terminal shows at its end, with colours."""
    columns, play = SCENES[name]
    cwd = home.directory()
    (cwd / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    with Terminal(home, cwd, columns=columns) as terminal:
        terminal.see("rehearsal · ask")
        play(terminal, cwd)
        text = terminal.styled(scrollback=False)
    text = text.replace(str(cwd), "/home/me/calc")
    for pattern, instead in SAME:
        text = pattern.sub(instead, text)
    return text


def plain(text: str) -> str:
    """Give a screen without colours."""
    lines = Text.from_ansi(text).plain.rstrip("\n").split("\n")
    return "\n".join(line.rstrip() for line in lines) + "\n"


def svg(text: str, columns: int) -> str:
    """Give a picture of a screen. It names no font of another host."""
    console = Console(
        width=columns, record=True, file=StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(Text.from_ansi(text.rstrip("\n")), no_wrap=True, overflow="ignore", crop=False)
    template = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title="holdfast", code_format=template, unique_id="holdfast") + "\n"


def main() -> int:
    """Write the pictures, or check the texts."""
    check = "--check" in sys.argv[1:]
    stale: list[str] = []
    with people() as home:
        for name, (columns, _) in SCENES.items():
            screen = shown(home, name)
            path = SCREENS / f"{name}.txt"
            if check:
                stale += [name] if not path.exists() or path.read_text() != plain(screen) else []
                continue
            SCREENS.mkdir(exist_ok=True)
            path.write_text(plain(screen))
            path.with_suffix(".svg").write_text(svg(screen, columns))
    for name in stale:
        print(f"docs/screens/{name}.txt is not what is shown now: run .ci/screens.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
