"""The lines around the input line: what goes on, the queue, a question, the footer. Pure: state in, text out.

Texts are lists of (style class, text), as prompt_toolkit takes them; a caller cuts them to the width.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from rich.cells import cell_len, set_cell_size

from holdfast_client.shell import figures, inquiry
from holdfast_client.shell.plain import one_line
from holdfast_client.terminal.glyphs import Glyphs
from holdfast_client.terminal.questions import Question
from holdfast_protocol import content
from holdfast_protocol.snapshot import QueuedPrompt
from holdfast_protocol.view import View

QUEUE_SHOWN_MAX: Final = 3
SPINS_PER_S: Final = 10

_TITLE_CHARS_MAX: Final = 160

Fragments = list[tuple[str, str]]


def cut(text: str, width: int, more: str) -> str:
    """Give a line of at most so many columns."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - cell_len(more))).rstrip() + more


def cut_fragments(fragments: Iterable[tuple[str, str]], width: int, more: str) -> Fragments:
    """Give a line of fragments of at most so many columns."""
    kept: Fragments = []
    for style, text in fragments:
        shown = cut(text, width, more)
        kept.append((style, shown))
        width -= cell_len(shown)
        if shown != text:
            break
    return kept


def elapsed(milliseconds: int) -> str:
    """Give a time that goes on, in whole seconds: `12 s`, `3 min 05 s`."""
    seconds = max(0, milliseconds) // 1000
    return f"{seconds} s" if seconds < 60 else figures.duration(seconds * 1000)


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """What the status line says.

    Attributes:
        doing: a word or two; empty: nothing runs.
        for_ms: how long the run has gone on.
        cancelling: it was told to stop.
        connected: the daemon answers.
        hint: what a key would do now, for somebody who just pressed another.
        unsent: prompts that no daemon has taken yet.
    """

    doing: str = ""
    for_ms: int = 0
    cancelling: bool = False
    connected: bool = True
    hint: str = ""
    unsent: int = 0


def activity_line(activity: Activity, glyphs: Glyphs, width: int) -> Fragments:
    """Give the line above the input line; empty if there is nothing to say. Keys are named where they fit."""
    spin = glyphs.spinner[activity.for_ms * SPINS_PER_S // 1000 % len(glyphs.spinner)]
    if not activity.connected:
        unsent = f"  {activity.unsent} to be sent" if activity.unsent else ""
        return [
            ("class:warning", f"{spin} reconnecting{glyphs.more}"),
            ("class:dim", f"{unsent}  Ctrl-] leaves"),
        ]
    if activity.doing:
        word = "cancelling" if activity.cancelling else activity.doing
        keys = activity.hint or "Ctrl-C cancels"
        line = [("class:spinner", f"{spin} "), ("", word), ("class:dim", f"  {elapsed(activity.for_ms)}")]
        room = width - sum(cell_len(text) for _, text in line)
        return [*line, ("class:dim", f"  {keys}")] if cell_len(keys) + 2 <= room else line
    return [("class:dim", activity.hint)] if activity.hint else []


def queue_lines(prompts: Iterable[QueuedPrompt], glyphs: Glyphs, *, held: bool) -> list[Fragments]:
    """Give the prompts that wait, the next to run first."""
    waiting = list(prompts)
    lines: list[Fragments] = []
    for number, prompt in enumerate(waiting[:QUEUE_SHOWN_MAX], 1):
        kind = "" if prompt.delivery == "queue" else f"{prompt.delivery}: "
        text = one_line(content.plain_text(prompt.content), _TITLE_CHARS_MAX)
        lines.append([("class:dim", f"  {number} {kind}{text}")])
    if len(waiting) > QUEUE_SHOWN_MAX:
        lines.append([("class:dim", f"  {glyphs.more} {len(waiting) - QUEUE_SHOWN_MAX} more")])
    if waiting:
        state = "held, /continue goes on" if held else "waiting"
        lines.insert(0, [("class:dim", f"Queue ({len(waiting)}, {state})")])
    return lines


def question_lines(
    question: Question, glyphs: Glyphs, *, width: int, waiting: int, armed: bool
) -> list[Fragments]:
    """Give the question in front, and the keys that answer it.

    Args:
        question: the one in front.
        glyphs: the signs that can be shown.
        width: of the terminal; answers that do not fit beside each other stand below each other.
        waiting: how many questions stand behind it.
        armed: whether its keys count.
    """
    title = one_line(question.request.title, _TITLE_CHARS_MAX)
    behind = f"  (and {waiting} more)" if waiting else ""
    of_call = question.request.kind == "permission" and inquiry.lines(question.request.detail) is None
    verb, mark = ("Allow ", "?") if of_call else ("", "")
    lines: list[Fragments] = [[("class:question", f"{verb}{title}{mark}"), ("class:dim", behind)]]
    if question.chosen is not None:
        label = question.chosen.label
        fills_in = question.request.kind == "form"
        how = "fill it in, as NAME=VALUE and so on" if fills_in else "say why, or press Enter"
        lines.append([("class:dim", f"{label}: {how}; Esc goes back")])
    elif not question.choices:
        lines.append([("class:dim", "It cannot be answered here.")])
    elif not armed:
        lines.append([("class:dim", f"{glyphs.more}")])
    else:
        keys: list[Fragments] = [
            [("class:key", f"[{choice.key}]"), ("", f" {choice.label}  ")] for choice in question.choices
        ]
        row = [part for key in keys for part in key]
        lines += [row] if sum(cell_len(text) for _, text in row) <= width else keys
    return lines


def fitted(sections: Sequence[list[Fragments]], rows: int) -> list[Fragments]:
    """Give as many sections as there is room for, the first before all others, with blank lines if they fit.

    Args:
        sections: in the order they are shown, which is that of their importance; empty ones do not count.
        rows: how many there are.
    """
    shown: list[list[Fragments]] = []
    for section in sections:
        if section and sum(map(len, shown)) + len(section) <= rows:
            shown.append(section)
    blanks = len(shown) + 1
    if shown and sum(map(len, shown)) + blanks <= rows:
        return [line for section in shown for line in ([], *section)] + [[]]
    return [line for section in shown for line in section] or ([[]] if rows else [])


def footer(view: View, cost: float | None, width: int, glyphs: Glyphs) -> Fragments:
    """Give the last line: model, mode, tokens and cost, session; from the left, as much as fits."""
    settings = view.settings
    if settings is None:
        return []
    running = view.run.started.mode if view.run is not None else None
    parts = [("class:model", settings.model), ("class:mode", running or settings.mode)]
    tokens = _tokens(view)
    if tokens:
        price = "" if cost is None else f" ${cost:.4f}"
        parts.append(("class:dim", f"{tokens}{price}"))
    if settings.title:
        parts.append(("class:dim", one_line(settings.title, _TITLE_CHARS_MAX)))
    parts.append(("class:dim", "/help"))
    shown: Fragments = []
    for style, text in parts:
        separator = f" {glyphs.dot} " if shown else ""
        if cell_len(separator) + cell_len(text) <= width:
            shown += [("class:dim", separator), (style, text)]
            width -= cell_len(separator) + cell_len(text)
    return shown


def _tokens(view: View) -> str:
    usage = view.usage
    whole = usage.input + usage.cache_read + usage.cache_write_5m + usage.cache_write_1h + usage.output
    return f"{whole:,} tokens" if whole else ""
