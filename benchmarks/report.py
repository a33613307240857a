"""A report as text: aligned columns for a terminal, Markdown for a document."""

from collections.abc import Iterator, Sequence

from benchmarks.result import Figure, Machine, Report, Row

_PREAMBLE = """\
# Results of the benchmarks

Written by `python -m benchmarks --markdown docs/benchmarks.md`, not by hand.
How to read it, and why some aims are missed, is in [benchmarks/README.md](../benchmarks/README.md)."""

_HEADINGS = ("figure", "measured", "floor", "ratio", "aim", "met")


def text(report: Report) -> str:
    """Give the table for a terminal."""
    lines = [*_facts(report), ""]
    for figure in report.figures:
        lines += [*figure_text(figure), ""]
    return "\n".join(lines)


def figure_text(figure: Figure) -> list[str]:
    """Give the lines of one figure."""
    cells = [_HEADINGS, *(_cells(row) for row in figure.rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADINGS))]
    heading = f"{figure.name}: {figure.title}  (load {figure.load[0]:.1f} to {figure.load[1]:.1f})"
    return [heading, *(_aligned(row, widths) for row in cells)]


def markdown(report: Report) -> str:
    """Give the whole document."""
    parts = [_PREAMBLE, "\n".join(f"- {fact}" for fact in _facts(report))]
    for figure in report.figures:
        table = [_HEADINGS, ("---", "---:", "---:", "---:", "---:", "---"), *map(_cells, figure.rows)]
        lines = ["| " + " | ".join(row) + " |" for row in table]
        parts.append(f"## {figure.name}: {figure.title}")
        parts.append("\n".join(lines))
        parts.append("\n".join(_legend(figure)))
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(report: Report) -> Iterator[str]:
    machine: Machine = report.machine
    yield f"holdfast {report.version}, measured {report.measured_at}, pairs: {report.pairs}" + (
        ", quick: the figures mean nothing" if report.quick else ""
    )
    yield f"{machine.cpu}, {machine.cores} cores, {machine.memory_mib} MiB, {machine.system}"
    yield (
        f"{machine.python}, SQLite {machine.sqlite}, {machine.file_system}, "
        f"fdatasync {machine.fdatasync_us:.0f} us"
    )


def _legend(figure: Figure) -> Iterator[str]:
    """Say what the floors do, each once, and how busy the machine was."""
    for floor in dict.fromkeys(row.floor_is for row in figure.rows if row.floor_is):
        names = [row.name for row in figure.rows if row.floor_is == floor]
        which = (
            "" if len(names) == sum(1 for row in figure.rows if row.floor_is) else f" of {', '.join(names)}"
        )
        yield f"Floor{which}: {floor}."
    yield f"Load average: {figure.load[0]:.1f} before, {figure.load[1]:.1f} after."


def _cells(row: Row) -> tuple[str, ...]:
    aim = "" if row.aim is None else f"≤ {row.aim:g}" + ("x" if row.aim_of == "ratio" else f" {row.unit}")
    return (
        row.name,
        f"{_number(row.value)} {row.unit}",
        "" if row.floor is None else f"{_number(row.floor)} {row.unit}",
        "" if row.ratio is None else f"{row.ratio:.2f}x",
        aim,
        {None: "", True: "yes", False: "NO"}[row.met],
    )


def _number(value: float) -> str:
    """Three digits that count."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *middle, last = row
    cells = [
        first.ljust(widths[0]),
        *(cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True)),
    ]
    return "  ".join(["  " + cells[0], *cells[1:], last]).rstrip()
