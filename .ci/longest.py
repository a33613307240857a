"""Print the ten longest functions, classes and files of the source.

Not limits: growth here is talked about (CONTRIBUTING.md, "Size").
"""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
SHOWN = 10


class Piece(NamedTuple):
    """A piece of source; `lines` counts all of them, docstrings, comments and blank lines too."""

    lines: int
    name: str
    place: str


def sources() -> Iterator[Path]:
    """Yield the modules of every distribution of the workspace."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for member in project["tool"]["uv"]["workspace"]["members"]:
        yield from sorted((ROOT / member).glob("holdfast_*/**/*.py"))


def pieces(path: Path, kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> Iterator[Piece]:
    """Yield the definitions of a kind in one module, nested ones too, by their dotted names."""
    place = str(path.relative_to(ROOT))

    def visit(node: ast.AST, outer: str) -> Iterator[Piece]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{outer}{child.name}"
                if isinstance(child, kind):
                    lines = (child.end_lineno or child.lineno) - child.lineno + 1
                    yield Piece(lines, name, f"{place}:{child.lineno}")
                yield from visit(child, f"{name}.")
            else:
                yield from visit(child, outer)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), "")


def show(title: str, found: list[Piece]) -> None:
    """Print the longest of a kind, longest first."""
    print(f"longest {title} of {len(found)}")
    for piece in sorted(found, key=lambda piece: (-piece.lines, piece.place))[:SHOWN]:
        print(f"{piece.lines:6}  {piece.name}  {piece.place}")
    print()


def main() -> None:
    """Print the three lists, and how the functions are spread."""
    modules = list(sources())
    functions = [piece for path in modules for piece in pieces(path, (ast.FunctionDef, ast.AsyncFunctionDef))]
    classes = [piece for path in modules for piece in pieces(path, ast.ClassDef)]
    files = [
        Piece(len(path.read_text(encoding="utf-8").splitlines()), path.name, str(path.relative_to(ROOT)))
        for path in modules
    ]
    show("functions", functions)
    show("classes", classes)
    show("files", files)
    under_15 = sum(piece.lines < 15 for piece in functions) / len(functions)
    under_40 = sum(piece.lines < 40 for piece in functions) / len(functions)
    print(f"functions under 15 lines: {under_15:.0%}, under 40: {under_40:.0%}")


if __name__ == "__main__":
    main()
