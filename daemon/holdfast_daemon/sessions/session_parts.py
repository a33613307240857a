"""What a session has for its runs: made with the session, handed to each of them."""

from typing import NamedTuple

from holdfast_daemon.execution.executor import SessionExecutor
from holdfast_daemon.journal.journal import SessionLog
from holdfast_daemon.sessions.consent import Consent
from holdfast_daemon.sessions.extension_slot import ExtensionSlot
from holdfast_daemon.sessions.session_tools import SessionTools


class SessionParts(NamedTuple):
    """One session's.

    Attributes:
        log: where its events go.
        env: its environment.
        stored_env: the same, as stored.
        servers: the MCP servers its client asked for, as stored.
        executor: its share of the executor.
        consent: its modes, rules and people.
        extensions: its plugins and MCP servers.
        tools: all its tools.
    """

    log: SessionLog
    env: dict[str, str]
    stored_env: str
    servers: str
    executor: SessionExecutor
    consent: Consent
    extensions: ExtensionSlot
    tools: SessionTools
