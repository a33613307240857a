"""How a demo is told: as text for people, or as one JSON object per line."""

import json
from time import monotonic
from typing import Any, Final, Protocol, TextIO

from holdfast_client.shell.plain import one_line, plain
from holdfast_client.shell.screen import Pane

_COLUMNS: Final = 80
_LABEL: Final = 10
_FACT: Final = 32


class Report(Protocol):
    """What a story tells as it goes. One owner."""

    def step(self, subject: str, what: str, text: str, note: str = "") -> None:
        """Tell one thing that happened.

        Args:
            subject: who it happened to: `daemon`, `client 1`, `A`.
            what: one word for it.
            text: a line, without its subject.
            note: what goes with it, in a column of its own.
        """
        ...

    def claim(self, name: str, text: str, against: str | None) -> None:
        """Tell what became of a claim; `against`: why it does not hold, None if it does."""
        ...

    def result(self, result: dict[str, Any]) -> None:
        """Tell the outcome; the last line."""
        ...


class TextReport:
    """Lines of at most 80 columns.

    Args:
        pane: where to.
    """

    def __init__(self, pane: Pane) -> None:
        self._pane = pane

    def step(self, subject: str, what: str, text: str, note: str = "") -> None:
        """See `Report`."""
        label = f"{subject}  {what}" if len(subject) == 1 else subject
        room = (_FACT if note else _COLUMNS - _LABEL) - (1 if note else 0)
        fact = one_line(text, room)
        line = f"{label:<{_LABEL}}{fact:<{_FACT}}{one_line(note, _COLUMNS - _LABEL - _FACT)}"
        self._pane.line(line.rstrip())
        self._pane.flush()

    def claim(self, name: str, text: str, against: str | None) -> None:
        """See `Report`."""
        del name
        verdict = "ok" if against is None else "FAILED"
        room = _COLUMNS - _LABEL - len(verdict) - 2
        self._pane.line(
            f"{'check':<{_LABEL}}{one_line(text, room):<{room}}  {verdict}",
            None if against is None else "red",
        )
        if against is not None:
            self._pane.line(f"{'':<{_LABEL}}{plain(against)}")
        self._pane.flush()

    def result(self, result: dict[str, Any]) -> None:
        """See `Report`."""
        if result["error"]:
            self._line("broken", f"{result['error']}", "red")
        elif result["failed"]:
            self._line("result", f"not all of it holds: {', '.join(result['failed'])}", "red")
        else:
            self._line("result", f"all of it holds, in {result['durationMs'] / 1000:.1f} s")
        if result["kept"] is not None:
            self._line("kept", result["kept"]["sample"])
            self._line("", f"HOLDFAST_HOME={result['kept']['home']} holdfast ps")
        self._line("next", 'holdfast · holdfast run "list files" · holdfast doctor')
        self._pane.flush()

    def _line(self, label: str, text: str, style: Any = None) -> None:
        """Write a line that may be longer than others: a path is not to be cut."""
        self._pane.line(f"{label:<{_LABEL}}{plain(text)}", style)


class JsonReport:
    """One JSON object per line; the last is the result.

    Args:
        stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._started = monotonic()

    def step(self, subject: str, what: str, text: str, note: str = "") -> None:
        """See `Report`."""
        self._write({"type": "step", "subject": subject, "what": what, "text": text, "note": note})

    def claim(self, name: str, text: str, against: str | None) -> None:
        """See `Report`."""
        self._write({"type": "check", "name": name, "text": text, "ok": against is None, "against": against})

    def result(self, result: dict[str, Any]) -> None:
        """See `Report`."""
        self._write({"type": "result", **result})

    def _write(self, line: dict[str, Any]) -> None:
        elapsed_ms = round((monotonic() - self._started) * 1000)
        self._stream.write(json.dumps({**line, "elapsedMs": elapsed_ms}, ensure_ascii=False) + "\n")
        self._stream.flush()
