"""The settings of the `holdfast` command itself: section `[command]` of the file the daemon's stand in."""

from typing import Final

from holdfast_protocol.settings.key import Key

MODES: Final = ("ask", "plan", "accept_edits", "auto")
FORMATS: Final = ("text", "json", "stream-json")
COLORS: Final = ("auto", "always", "never")

COMMAND_KEYS: Final = (
    Key(
        name="command.model",
        kind="string",
        minimum=1,
        maximum=256,
        variable="HOLDFAST_MODEL",
        summary="The model of sessions this command creates; without it, the daemon's.",
    ),
    Key(
        name="command.mode",
        kind="string",
        choices=MODES,
        variable="HOLDFAST_MODE",
        summary="What runs may do without asking, in sessions it creates; without it, the daemon's.",
    ),
    Key(
        name="command.format",
        kind="string",
        default="text",
        choices=FORMATS,
        variable="HOLDFAST_FORMAT",
        summary="What `run` prints.",
    ),
    Key(
        name="command.color",
        kind="string",
        default="auto",
        choices=COLORS,
        variable="HOLDFAST_COLOR",
        summary="Whether output is coloured; `NO_COLOR` and its like decide where it is `auto`.",
    ),
)
