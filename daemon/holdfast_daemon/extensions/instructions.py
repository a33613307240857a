"""AGENTS.md: what a trusted project tells agents. Shown in a session's first event."""

import stat
from pathlib import Path
from typing import Final

import msgspec

from holdfast_daemon.extensions.loader import Unreadable, read_text
from holdfast_daemon.extensions.trust import INSTRUCTIONS, down_to, objection_to
from holdfast_protocol import events

INSTRUCTIONS_BYTES_MAX: Final = 64 * 1024
"""Of one file; a model reads it with every step."""

INSTRUCTIONS_TOTAL_BYTES: Final = 128 * 1024
"""Of all files of a session: they are part of one event."""


class Instructions(msgspec.Struct, frozen=True, kw_only=True):
    """One file: its text, or why it was not read."""

    path: str
    text: str = ""
    problem: str | None = None


def project_instructions(project: str, cwd: str) -> tuple[Instructions, ...]:
    """Give the files from the project's directory down to the session's, the most general first. Blocks.

    Args:
        project: a trusted project's directory, without symlinks.
        cwd: the session's, at or below it, without symlinks.
    """
    files = [place / INSTRUCTIONS for place in down_to(Path(cwd), Path(project))]
    return tuple(_read(file) for file in files if file.exists())


def instructions_event(project: str, cwd: str) -> tuple[events.Instructions, ...]:
    """Give the same as an event has them, `INSTRUCTIONS_TOTAL_BYTES` of text at the most. Blocks."""
    room = INSTRUCTIONS_TOTAL_BYTES
    files: list[events.Instructions] = []
    for found in project_instructions(project, cwd):
        size = len(found.text.encode())
        problem = found.problem or (None if size <= room else "there is too much of it in all")
        files.append(
            events.Instructions(path=found.path, text="" if problem else found.text, problem=problem)
        )
        room -= 0 if problem else size
    return tuple(files)


def _read(path: Path) -> Instructions:
    try:
        status = path.lstat()
        objection = "is a symlink" if stat.S_ISLNK(status.st_mode) else objection_to(status)
        if objection is not None:
            raise Unreadable(objection)  # noqa: TRY301 - one way to say why
        return Instructions(path=str(path), text=read_text(path, INSTRUCTIONS_BYTES_MAX))
    except Unreadable as error:
        return Instructions(path=str(path), problem=str(error))
    except OSError as error:
        return Instructions(path=str(path), problem=f"cannot be read: {error.strerror}")
