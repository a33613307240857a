"""Tools of the notes plugin. They run in a process of their own, in the session's directory."""

import asyncio
from pathlib import Path
from typing import Literal

NOTES = Path("notes")


def add_note(title: str, text: str, kind: Literal["idea", "task"] = "idea") -> str:
    """Keep a note as a file below `notes`.

    Args:
        title: a few words; becomes the file's name
        text: Markdown
        kind: what sort of note it is
    """
    NOTES.mkdir(exist_ok=True)
    name = "".join(letter if letter.isalnum() else "-" for letter in title.lower())[:60]
    path = NOTES / f"{kind}-{name}.md"
    path.write_text(f"# {title}\n\n{text}\n")
    return f"kept as {path}"


async def count_words(least: int = 0) -> dict[str, int]:
    """Count the words of every note.

    Args:
        least: leave out notes with fewer words
    """
    counts = await asyncio.to_thread(_counts)
    return {name: words for name, words in counts.items() if words >= least}


def _counts() -> dict[str, int]:
    return {path.name: len(path.read_text().split()) for path in sorted(NOTES.glob("*.md"))}
