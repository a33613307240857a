"""Writes what is generated from the settings' types: the clients' key table, and tables of the documentation.

    python -m holdfast_daemon.config_document [ROOT]

A test (tests/config/test_generated.py) keeps both fresh.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from holdfast_daemon.config_keys import daemon_keys, rendered
from holdfast_protocol.settings.command_keys import COMMAND_KEYS
from holdfast_protocol.settings.key import Key, expected, shown

TABLE: Final = Path("protocol/holdfast_protocol/settings/table.py")
DOCUMENT: Final = Path("docs/configuration.md")

_HEAD: Final = '''\
"""All settings of the daemon. Generated from its types by `python -m holdfast_daemon.config_document`."""

from typing import Final

from holdfast_protocol.settings.key import Key

DAEMON_KEYS: Final = (
'''

_MARKED: Final = re.compile(r"(<!-- settings: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table() -> str:
    """Give the Python source of the key table."""
    return _HEAD + "".join(f"    {line}\n" for line in rendered(daemon_keys())) + ")\n"


def document(text: str) -> str:
    """Give the documentation with its tables made anew.

    Args:
        text: has a pair of marks for each table: `<!-- settings: SECTION -->` and `<!-- end -->`. For SECTION
            stands the name of a section, of a list of tables, or `not-over`.
    """
    return _MARKED.sub(lambda found: found[1] + "".join(_rows(found[2])) + found[3], text)


def _rows(section: str) -> Iterator[str]:
    keys = (*daemon_keys(), *COMMAND_KEYS)
    lists = {key.name: key for key in keys if key.kind == "tables"}
    if section == "not-over":
        yield "| Key | Not over |\n|---|---|\n"
        yield from (f"| `{key.name}` | `{key.not_over}` |\n" for key in keys if key.not_over)
        return
    if section in lists:
        yield "| Name | Value | Default | |\n|---|---|---|---|\n"
        yield from (_field_row(field) for field in lists[section].fields)
        return
    chosen = [key for key in keys if key.section == section and key.name not in lists]
    has_summaries = any(key.summary for key in chosen)
    yield "| Key | Value | Default | Variable |" + (" |\n" if has_summaries else "\n")
    yield "|---|---|---|---|" + ("---|\n" if has_summaries else "\n")
    for key in chosen:
        yield _row(key) + (f" {key.summary} |\n" if has_summaries else "\n")


def _row(key: Key) -> str:
    flag = f", `{key.flag}`" if key.flag else ""
    return f"| `{key.name}` | {_cell(expected(key))} | {_default(key)} | `{key.variable}`{flag} |"


def _field_row(field: Key) -> str:
    default = "required" if field.required else _default(field)
    return f"| `{field.name}` | {_cell(expected(field))} | {default} | |\n"


def _default(key: Key) -> str:
    if key.default is None:
        return "`off`" if key.may_be_off else "none"
    return f"`{_cell(shown(key.default))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write both files below a root: the checkout this module is in, or the one that is named."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2]
    (root / TABLE).write_text(table(), encoding="utf-8")
    path = root / DOCUMENT
    path.write_text(document(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
