"""What the daemon's source can emit and refuse, found in its syntax trees. The other side of coverage.

An event counts as emitted where its type is called, or handed to `emit` to be made there. An error counts as
raised where its class is called. Comparing and matching make neither.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import holdfast_daemon
import holdfast_protocol
from holdfast_protocol import errors, events

_DAEMON: Final = Path(holdfast_daemon.__file__).parent
_PROTOCOL: Final = Path(holdfast_protocol.__file__).parent

_TABLES: Final = ("errors.py", "events")
"""Modules of the protocol that define the types; what they do with them reaches no client."""


def emitted_events() -> set[str]:
    """Give the tags of all events some source makes."""
    names = {kind.__name__: tag for tag, kind in events.TAGS.items()}
    made = (name for tree in _trees(_DAEMON.rglob("*.py")) for name in _made(tree, _is_event_maker))
    return {names[name] for name in made if name in names}


def raised_errors() -> set[str]:
    """Give the kinds of all errors some source makes."""
    names = {error.__name__: error.kind for error in errors.ERRORS}
    files = [path for path in _PROTOCOL.rglob("*.py") if path.relative_to(_PROTOCOL).parts[0] not in _TABLES]
    trees = _trees([*_DAEMON.rglob("*.py"), *files])
    return {names[name] for tree in trees for name in _made(tree, _is_call) if name in names}


def _trees(paths: "Iterator[Path] | list[Path]") -> Iterator[ast.Module]:
    for path in paths:
        yield ast.parse(path.read_text(encoding="utf-8"), str(path))


def _made(tree: ast.AST, makers: "Callable[[ast.Call], Iterator[ast.expr]]") -> Iterator[str]:
    """Yield the last names of what is made in a module: `events.RunStarted(…)` makes `RunStarted`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for expression in makers(node):
                if isinstance(expression, ast.Attribute):
                    yield expression.attr
                elif isinstance(expression, ast.Name):
                    yield expression.id


def _is_call(node: ast.Call) -> Iterator[ast.expr]:
    yield node.func


def _is_event_maker(node: ast.Call) -> Iterator[ast.expr]:
    yield node.func
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("emit", "emit_nowait") and node.args:
        yield node.args[0]
