"""What a run does before its agent: the project's trust, its instructions, plugins and MCP servers.

Nothing of a project is read as configuration before a person trusted its directory. Who says no, or is not
there to say anything, gets a run without it.
"""

import time
from typing import TYPE_CHECKING, Final

from holdfast_daemon.sessions.consent import Consent, Unattended
from holdfast_daemon.sessions.extension_slot import ExtensionSlot
from holdfast_daemon.sessions.extensions import Extensions
from holdfast_daemon.sessions.history import History
from holdfast_daemon.sessions.run_log import RunLog
from holdfast_protocol import events

if TYPE_CHECKING:
    from holdfast_daemon.extensions.plugins import ProjectExtensions
    from holdfast_daemon.extensions.trust import Project

_OPTIONS: Final = (
    events.RequestOption(id="allow_always", label="Trust this directory", kind="allow_always"),
    events.RequestOption(id="deny", label="Go on without", kind="deny"),
)

PROBLEMS_MAX: Final = 16
"""Of one run's start; `plugin/list` and `mcp/list` have them all."""


class RunSetup:
    """One run's.

    Args:
        log: the run's.
        extensions: the daemon's.
        slot: the session's.
        consent: the session's people.
        cwd: the session's directory.
    """

    def __init__(
        self, log: RunLog, extensions: Extensions, slot: ExtensionSlot, consent: Consent, cwd: str
    ) -> None:
        self._log = log
        self._extensions = extensions
        self._slot = slot
        self._consent = consent
        self._cwd = cwd

    async def ready(self, history: History, *, resumed: bool) -> None:
        """Get everything ready; may wait for people.

        Args:
            history: the session's conversation; tells which instructions it knows.
            resumed: the run waited through a restart, perhaps for an answer to our question.

        Raises:
            StorageUnavailable: what happened could not be stored.
        """
        project = await self._extensions.trust.project(self._cwd)
        trusted = bool(project.has) and await self._extensions.trust.is_trusted(project.path)
        if project.has and not trusted:
            trusted = await self._ask(project, resumed=resumed)
        await self._read_instructions(history, trusted=trusted)
        known = self._slot.found
        found = await self._slot.open(for_run=True)
        if found is not known:
            await self._tell_problems(found)

    async def _ask(self, project: "Project", *, resumed: bool) -> bool:
        """Ask whether a project is trusted; once in a session."""
        if self._slot.declined:
            return False
        request_id = f"{self._log.run_id}-trust"
        if resumed and await self._consent.asked_before(request_id):
            asked, allowed = await self._answer(request_id)
            if not allowed or asked == (project.path, list(project.has)):
                return allowed and await self._trust(project.path)
            request_id += "-again"  # What was asked about is not what is there now.
        await self._consent.open(self._question(project, request_id))
        _, allowed = await self._answer(request_id)
        return allowed and await self._trust(project.path)

    async def _answer(self, request_id: str) -> tuple[tuple[str, list[str]], bool]:
        """Wait for what people say; give what they were asked about, and whether it is trusted."""
        try:
            request, answer = await self._consent.answer(request_id)
        except Unattended:
            self._slot.declined = True
            return ("", []), False
        if answer.outcome != "allow":
            self._slot.declined = True
        asked = (str(request.detail["directory"]), list(request.detail["has"]))
        return asked, answer.outcome == "allow"

    async def _trust(self, path: str) -> bool:
        from holdfast_daemon.extensions.trust import NotTrustable  # noqa: PLC0415 - loaded by now

        try:
            await self._extensions.trust_directory(path, time.time())
        except NotTrustable as objection:
            await self._notice("not_trusted", str(objection))
            return False
        return True

    def _question(self, project: "Project", request_id: str) -> events.RequestOpened:
        return events.RequestOpened(
            run_id=self._log.run_id,
            request_id=request_id,
            kind="permission",
            title=f"Trust {project.path}?",
            detail={"question": "trust", "directory": project.path, "has": project.has},
            options=_OPTIONS,
        )

    async def _read_instructions(self, history: History, *, trusted: bool) -> None:
        """Let the log say which instructions hold now, if they are not those it has."""
        files = await self._extensions.instructions(self._cwd) if trusted else ()
        if files != history.instruction_files:
            await self._log.commit(events.SessionUpdated(instructions=files))

    async def _tell_problems(self, found: "ProjectExtensions") -> None:
        for text in _problems(found, self._slot)[:PROBLEMS_MAX]:
            await self._notice("extension_problem", text)

    async def _notice(self, kind: str, message: str) -> None:
        notice = events.Notice(run_id=self._log.run_id, kind=kind, message=message, level="warning")
        await self._log.commit(notice)


def _problems(found: "ProjectExtensions", slot: ExtensionSlot) -> list[str]:
    told = [str(problem) for loaded in found.plugins for problem in loaded.problems]
    if slot.current is not None:
        told += [str(problem) for problem in slot.current.problems]
        for server in slot.current.mcp.infos():
            if server.error is not None:
                told.append(f"The MCP server {server.name} ({server.origin}) does not run: {server.error}")
    return told
