"""`holdfast demo`: what holdfast does, shown and checked. The demo itself is imported when it is called."""

from importlib import import_module
from typing import Final, Protocol, cast

from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.screen import COLOR_MODES

SPEC: Final = Spec(
    usage="""\
holdfast demo [--json] [--keep] [--color WHEN]

Show what holdfast does, in some seconds, without a key and without a network:
two sessions at once, a failing test that is fixed, an answer given by a second
client, a client and a daemon that are killed, and nothing lost. Every claim is
checked. It happens in a temporary directory with a daemon of its own; yours is
not touched.

  --json         one JSON object per line; the last is the result
  --keep         leave the sample project and the daemon, and say where
  --color WHEN   auto, always or never

The exit code is 0 only if every claim holds.
""",
    flags={"--json": "json", "--keep": "keep"},
    options={"--color": "color"},
    choices={"color": COLOR_MODES},
)

_PACKAGE: Final = "holdfast_client.demo"  # By name: it stands above the shell, and imports what is slow.


class _Demo(Protocol):
    """What the package offers; see there."""

    def run(self, *, as_json: bool = False, keep: bool = False, color: str = "auto") -> int:
        """Play the demo; give the exit code."""
        ...


def run(arguments: Arguments) -> int:
    """Play the demo."""
    demo = cast(_Demo, import_module(_PACKAGE))
    return demo.run(
        as_json="json" in arguments.flags,
        keep="keep" in arguments.flags,
        color=arguments.options.get("color", "auto"),
    )
