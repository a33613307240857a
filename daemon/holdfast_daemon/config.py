"""The daemon's settings: frozen, read once, handed on as arguments.

Every limit has its default here, its name in the error it causes, and its reason in docs/limits.md.
"""

from typing import Literal

import msgspec

KIB = 1024
MIB = 1024 * KIB


class NetLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Connections and messages."""

    message_bytes_max: int = 8 * MIB
    fragments_max: int = 8192
    handshake_timeout_s: float = 5.0
    last_answers_timeout_s: float = 1.0
    unauthenticated_max: int = 64
    connections_max: int = 1024
    requests_in_flight_max: int = 64
    requests_per_second_max: int = 5000
    requests_burst_max: int = 10_000
    send_high_water_bytes: int = 256 * KIB
    unsent_answer_bytes_max: int = 1 * MIB
    auth_failures_max: int = 10
    auth_failures_window_s: float = 60.0


class JournalLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The log: transactions, events, the WAL."""

    transaction_bytes_max: int = 1 * MIB
    transaction_events_max: int = 1024
    merged_delta_bytes_max: int = 16 * KIB
    uncommitted_bytes_max: int = 1 * MIB
    event_bytes_max: int = 960 * KIB
    spill_bytes: int = 256 * KIB
    checkpoint_bytes: int = 4 * MIB
    truncate_bytes: int = 64 * MIB
    ballast_bytes: int = 16 * MIB
    revive_interval_s: float = 2.0
    key_lifetime_s: int = 24 * 3600


class HubLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Subscribers and what is kept in memory for them."""

    ring_bytes_max: int = 256 * KIB
    rings_bytes_max: int = 64 * MIB
    batch_bytes_max: int = 256 * KIB
    page_events_max: int = 512
    subscribers_per_session_max: int = 256
    subscribers_max: int = 4096
    block_timeout_s: float = 5.0


class SessionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions and runs."""

    loaded_max: int = 2000
    active_runs_max: int = 1024
    queued_prompts_max: int = 256
    prompt_bytes_max: int = 512 * KIB
    block_bytes_max: int = 512 * KIB
    steps_per_run_max: int = 200
    tool_calls_per_step_max: int = 64
    meta_bytes_max: int = 16 * KIB
    env_bytes_max: int = 64 * KIB
    request_expiry_s: float = 30 * 60


class ExecutionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Tool calls. `output_kept_chars_max` bounds what one call streams into the log."""

    timeout_s: float = 120.0
    timeout_s_max: float = 3600.0
    grace_s: float = 0.5
    result_bytes_max: int = 64 * KIB
    output_kept_chars_max: int = 1 * MIB
    output_read_bytes_max: int = 256 * MIB
    calls_per_session_max: int = 4
    calls_max: int = 16
    hooks_max: int = 16
    file_bytes_max: int = 8 * MIB
    diff_bytes_max: int = 256 * KIB
    seen_files_max: int = 1024
    listed_entries_max: int = 2000
    walked_entries_max: int = 100_000
    matches_max: int = 500
    searched_file_bytes_max: int = 16 * MIB
    search_timeout_s: float = 20.0


HookEvent = Literal["pre_tool_use", "post_tool_use"]


class HookSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Where a hook is and when it runs.

    Attributes:
        event: before or after the call.
        target: `package.module:function`.
        tools: a pattern of tool names, as `write` or `*`.
        timeout_s: after this it has refused.
    """

    event: HookEvent
    target: str
    tools: str = "*"
    timeout_s: float = 10.0


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All settings.

    Attributes:
        state_dir: absolute; the log, its lock, spilled payloads.
        runtime_dir: absolute; socket and discovery record. None: no socket, no record (sidecar).
        stdio: serve one connection on the daemon's own stdin and stdout.
        tcp: listen on loopback; the port, 0 for any, None for not at all.
        ws: listen for WebSockets on loopback; the port, 0 for any, None for not at all.
        ws_origins: origins of pages that may connect, beside the daemon's own.
        hooks: Python functions that see every tool call.
        idle_exit_s: exit after so long without a connection and without work; None: never.
    """

    state_dir: str
    runtime_dir: str | None = None
    stdio: bool = False
    tcp: int | None = None
    ws: int | None = None
    ws_origins: tuple[str, ...] = ()
    hooks: tuple[HookSpec, ...] = ()
    idle_exit_s: float | None = 600.0
    shutdown_grace_s: float = 5.0
    default_model: str = "offline/rehearsal"
    default_agent: str = "chat"
    net: NetLimits = NetLimits()
    journal: JournalLimits = JournalLimits()
    hub: HubLimits = HubLimits()
    sessions: SessionLimits = SessionLimits()
    execution: ExecutionLimits = ExecutionLimits()
