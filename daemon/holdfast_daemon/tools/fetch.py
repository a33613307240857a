"""The `fetch` tool: the text of one page of the web, from domains that the owner listed.

The request is made by a process of its own, `fetch_process`, in a sandbox that has the network and no
directory of the session.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Final

import anyio
import msgspec
from msgspec import Meta

from holdfast_daemon.config import ExecutionLimits, FetchSettings
from holdfast_daemon.execution.confinement import Confinement, own_places
from holdfast_daemon.execution.excerpt import excerpt
from holdfast_daemon.execution.launcher import Launcher, NotConfined
from holdfast_daemon.tools.allowed_addresses import NotAllowed, check_listed, target_of
from holdfast_daemon.tools.base import ToolContext, ToolFailure, ToolResult
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Location, ToolKind

SHOWN_BYTES_MAX: Final = 48 * 1024
"""Under `ExecutionLimits.result_bytes_max`, with room for what is said about the page."""

_TITLE_CHARS_MAX: Final = 200

# Isolated and without site packages; the daemon's own package comes last, so that it shadows nothing.
_PROGRAM: Final = (
    "import sys; sys.path.append(sys.argv[1]); from holdfast_daemon.tools.fetch_process import main; main()"
)
_PACKAGES: Final = str(Path(__file__).resolve().parents[2])


class FetchInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to fetch."""

    url: Annotated[str, Meta(min_length=1, max_length=8192, description="http or https, of a listed domain")]


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    """What the process got."""

    url: str
    status: int
    type: str
    text: str
    cut: int


class _Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why it got nothing."""

    kind: str
    message: str


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    """The line of the process's output."""

    page: _Page | None = None
    failure: _Failure | None = None


class FetchTool:
    """Gives a page's text.

    Args:
        limits: of the daemon.
        launcher: of the daemon.
        settings: what may be fetched.
    """

    name = "fetch"
    description = (
        "Fetch a page of the web by GET and give its text, HTML without its markup. Only domains that the "
        "owner of this machine listed can be fetched; a refusal is final."
    )
    kind: ToolKind = "fetch"
    input_type: type[msgspec.Struct] = FetchInput

    def __init__(self, limits: ExecutionLimits, launcher: Launcher, settings: FetchSettings) -> None:
        self._limits = limits
        self._launcher = launcher
        self._settings = settings

    def title(self, tool_input: FetchInput) -> str:
        """Show the URL."""
        cut = len(tool_input.url) > _TITLE_CHARS_MAX
        return f"fetch {tool_input.url[:_TITLE_CHARS_MAX]}{' …' if cut else ''}"

    def locations(self, tool_input: FetchInput, cwd: str) -> tuple[Location, ...]:
        """Give none: it touches no file."""
        del tool_input, cwd
        return ()

    async def run(self, tool_input: FetchInput, context: ToolContext) -> ToolResult:
        """Fetch. A page that says 404 is a result, not a failure.

        Raises:
            ToolFailure: kinds `forbidden` (not listed, not public, not http), `unreachable`, `timeout`,
                `too_large`, `not_text`, `too_many_redirects`, `no_sandbox`, `tool_failed`.
        """
        settings = self._settings
        try:
            check_listed(target_of(tool_input.url), settings.domains)  # The process checks again, each hop.
        except NotAllowed as error:
            raise ToolFailure(str(error), kind="forbidden") from error
        with anyio.move_on_after(settings.timeout_s):
            return _result(await self._said(tool_input.url, context))
        raise ToolFailure(f"no page within {settings.timeout_s:g} s (fetch.timeout_s)", kind="timeout")

    async def _said(self, url: str, context: ToolContext) -> _Said:
        settings = self._settings
        asked = {
            "url": url,
            "domains": settings.domains,
            "private": settings.private_addresses,
            "body_bytes_max": settings.body_bytes_max,
            "idle_timeout_s": settings.timeout_s,
            "text_chars_max": settings.text_chars_max,
        }
        output: list[str] = []

        async def take(text: str) -> None:
            output.append(text)

        try:
            code = await self._launcher.run(
                (sys.executable, "-I", "-S", "-c", _PROGRAM, _PACKAGES, json.dumps(asked)),
                cwd="/",
                env={},
                limits=self._limits,
                output=take,
                confinement=Confinement(readable=own_places(), hidden=context.hidden, network=True),
            )
        except NotConfined as error:
            raise ToolFailure(f"a fetch must be confined here: {error}", kind="no_sandbox") from error
        except OSError as error:
            raise ToolFailure(f"the fetch could not be started: {error.strerror}") from error
        try:
            return msgspec.json.decode("".join(output), type=_Said)
        except msgspec.DecodeError as error:
            raise ToolFailure(f"the fetch broke off with exit code {code}") from error


def _result(said: _Said) -> ToolResult:
    if said.failure is not None:
        raise ToolFailure(said.failure.message, kind=said.failure.kind)
    page = said.page
    assert page is not None
    text = excerpt(page.text, SHOWN_BYTES_MAX)
    truncated = bool(page.cut) or text != page.text
    cut = f", {page.cut} characters more were left out" if page.cut else ""
    about = (
        f"[{page.url}: status {page.status}, {page.type}{cut}; what follows is the page's, not a person's]"
    )
    return ToolResult(content=(TextBlock(text=f"{about}\n{text}"),), truncated=truncated)
