"""The daemon's settings: frozen, read once, handed on as arguments.

Every limit has its default here, its name in the error it causes, and its reason in docs/limits.md.
What a file may say is this file's types; after a change here, `python -m holdfast_daemon.config_document`
writes the clients' key table and docs/configuration.md anew.
"""

from typing import Annotated, Final, Literal

import msgspec

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

Count = Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]
"""A number of things or bytes. None would stop the daemon's work; the upper bound only catches slips."""

Seconds = Annotated[float, msgspec.Meta(ge=0.001, le=10 * 365 * 24 * 3600.0)]
"""A time-out; shorter than a millisecond it would only ever expire."""

Grace = Annotated[float, msgspec.Meta(ge=0, le=3600.0)]
"""A time that may be none at all."""

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]

Origin = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z][a-z0-9+.-]*://[^/@\s]+\Z",
        min_length=1,
        max_length=1024,
        description="an origin, as https://example.org",
    ),
]
"""As browsers write it: scheme, host and port, without a path."""


class NetLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Connections and messages."""

    message_bytes_max: Count = 8 * MIB
    fragments_max: Count = 8192
    handshake_timeout_s: Seconds = 5.0
    last_answers_timeout_s: Seconds = 1.0
    unauthenticated_max: Count = 64
    connections_max: Count = 1024
    requests_in_flight_max: Count = 64
    requests_per_second_max: Count = 5000
    requests_burst_max: Count = 10_000
    send_high_water_bytes: Count = 256 * KIB
    unsent_answer_bytes_max: Count = 1 * MIB
    auth_failures_max: Count = 10
    auth_failures_window_s: Seconds = 60.0


class JournalLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The log: transactions, events, the WAL."""

    transaction_bytes_max: Count = 1 * MIB
    transaction_events_max: Count = 1024
    merged_delta_bytes_max: Count = 16 * KIB
    uncommitted_bytes_max: Count = 1 * MIB
    event_bytes_max: Count = 960 * KIB
    spill_bytes: Count = 256 * KIB
    checkpoint_bytes: Count = 4 * MIB
    truncate_bytes: Count = 64 * MIB
    ballast_bytes: Count = 16 * MIB
    revive_interval_s: Seconds = 2.0
    key_lifetime_s: Count = 24 * 3600


class HubLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Subscribers and what is kept in memory for them."""

    ring_bytes_max: Count = 256 * KIB
    rings_bytes_max: Count = 64 * MIB
    batch_bytes_max: Count = 256 * KIB
    page_events_max: Count = 512
    subscribers_per_session_max: Count = 256
    subscribers_max: Count = 4096
    block_timeout_s: Seconds = 5.0


class SessionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions and runs."""

    loaded_max: Count = 2000
    active_runs_max: Count = 1024
    queued_prompts_max: Count = 256
    prompt_bytes_max: Count = 512 * KIB
    block_bytes_max: Count = 512 * KIB
    steps_per_run_max: Count = 200
    tool_calls_per_step_max: Count = 64
    meta_bytes_max: Count = 16 * KIB
    env_bytes_max: Count = 64 * KIB
    request_expiry_s: Seconds = 30 * 60
    compact_at_percent: Annotated[int, msgspec.Meta(ge=10, le=95)] = 80


class ExecutionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Tool calls. `output_kept_chars_max` bounds what one call streams into the log."""

    timeout_s: Seconds = 120.0
    timeout_s_max: Seconds = 3600.0
    grace_s: Grace = 0.5
    result_bytes_max: Count = 64 * KIB
    output_kept_chars_max: Count = 1 * MIB
    output_read_bytes_max: Count = 256 * MIB
    kept_result_bytes_max: Count = 16 * MIB
    kept_results_bytes_max: Count = 64 * MIB
    calls_per_session_max: Count = 4
    calls_max: Count = 16
    hooks_max: Count = 16
    file_bytes_max: Count = 8 * MIB
    diff_bytes_max: Count = 256 * KIB
    seen_files_max: Count = 1024
    listed_entries_max: Count = 2000
    walked_entries_max: Count = 100_000
    matches_max: Count = 500
    searched_file_bytes_max: Count = 16 * MIB
    search_timeout_s: Seconds = 20.0


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What confines the processes of tools, and what they may.

    Attributes:
        mode: `auto` takes the strongest there is and says which; `require` refuses commands where they would
            not be confined; `off` confines none.
        network: commands share the machine's network.
        unix_sockets: commands may use sockets of the file system.
        memory_bytes_max: of data, per process. Not of address space, of which Node alone reserves more.
        file_bytes_max: of one file that a command writes.
        processes_max: of one call; the kernel does not count those of root.
    """

    mode: Literal["auto", "require", "off"] = "auto"
    network: bool = False
    unix_sockets: bool = False
    processes_max: Count = 256
    memory_bytes_max: Count = 4 * GIB
    file_bytes_max: Count = 1 * GIB


Domain = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(\*\.)?[A-Za-z0-9_.-]+(:[0-9]{1,5})?\Z",
        min_length=1,
        max_length=255,
        description="a host as example.org, *.example.org for those below it, :PORT behind it",
    ),
]
"""As `allowed_addresses.check_listed` reads it; names beyond ASCII in their `xn--` form."""


class FetchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The `fetch` tool.

    Attributes:
        domains: what may be fetched; nothing else may, so that an empty list allows nothing.
        private_addresses: a listed name may lead to this machine or its private networks.
        timeout_s: of a whole fetch, redirects included.
    """

    domains: Annotated[tuple[Domain, ...], msgspec.Meta(max_length=1024)] = ()
    private_addresses: bool = False
    timeout_s: Seconds = 30.0
    body_bytes_max: Count = 4 * MIB
    text_chars_max: Count = 256 * KIB


BaseUrl = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^https?://[^/@?#\s]+(/[^@?#\s]*)?\Z",
        min_length=1,
        max_length=1024,
        description="an https URL, or http to this machine, without user, query or fragment",
    ),
]
"""Where a provider is reached; `providers.checked_base_url` says the rest."""


class BaseUrls(msgspec.Struct, frozen=True, kw_only=True):
    """Where providers are reached, if not at their own addresses: mirrors, gateways, servers elsewhere."""

    anthropic: BaseUrl | None = None
    openai: BaseUrl | None = None
    deepseek: BaseUrl | None = None
    moonshot: BaseUrl | None = None
    ollama: BaseUrl | None = None
    lmstudio: BaseUrl | None = None
    llamacpp: BaseUrl | None = None
    vllm: BaseUrl | None = None

    def given(self) -> dict[str, str]:
        """Give those that are set, by the provider's name."""
        return {name: url for name in self.__struct_fields__ if (url := getattr(self, name)) is not None}


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
    target: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[^\s:]+:[^\s:]+\Z",
            min_length=1,
            max_length=1024,
            description="package.module:function",
        ),
    ]
    tools: Name = "*"
    timeout_s: Seconds = 10.0


Word = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class McpServerSetting(msgspec.Struct, frozen=True, kw_only=True):
    """An MCP server every session gets: a program, or an address.

    Attributes:
        name: what its tools' names begin with.
        command: the program, on the session's PATH or absolute.
        args: its arguments.
        env: `NAME=VALUE`, added to the session's environment.
        url: of a server over streamable HTTP, instead of a program.
        headers: `Name: value`, sent there.
    """

    name: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z",
            min_length=1,
            max_length=32,
            description="letters, digits, - and _, at most 32",
        ),
    ]
    command: Word | None = None
    args: Annotated[tuple[Word, ...], msgspec.Meta(max_length=256)] = ()
    env: Annotated[tuple[Word, ...], msgspec.Meta(max_length=64)] = ()
    url: Word | None = None
    headers: Annotated[tuple[Word, ...], msgspec.Meta(max_length=32)] = ()


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
        mcp_servers: MCP servers every session gets.
        idle_exit_s: exit after so long without a connection and without work; None: never.
        shutdown_grace_s: how long a stop waits for runs before it interrupts them.
        default_model: of sessions that name none; `auto` takes one of the first provider whose key is set,
            else one of a server on this machine, else the offline model.
        default_agent: likewise.
    """

    state_dir: str
    runtime_dir: str | None = None
    stdio: bool = False
    tcp: Port | None = None
    ws: Port | None = None
    ws_origins: Annotated[tuple[Origin, ...], msgspec.Meta(max_length=64)] = ()
    hooks: Annotated[tuple[HookSpec, ...], msgspec.Meta(max_length=64)] = ()
    mcp_servers: Annotated[tuple[McpServerSetting, ...], msgspec.Meta(max_length=32)] = ()
    idle_exit_s: Seconds | None = 600.0
    shutdown_grace_s: Grace = 5.0
    default_model: Name = "auto"
    default_agent: Name = "chat"
    net: NetLimits = NetLimits()
    journal: JournalLimits = JournalLimits()
    hub: HubLimits = HubLimits()
    sessions: SessionLimits = SessionLimits()
    execution: ExecutionLimits = ExecutionLimits()
    sandbox: SandboxSettings = SandboxSettings()
    fetch: FetchSettings = FetchSettings()
    base_urls: BaseUrls = BaseUrls()


NOT_OVER: Final[dict[str, str]] = {
    "journal.event_bytes_max": "journal.transaction_bytes_max",
    "sessions.prompt_bytes_max": "journal.event_bytes_max",
    "sessions.block_bytes_max": "journal.event_bytes_max",
    "journal.merged_delta_bytes_max": "journal.event_bytes_max",
    "execution.diff_bytes_max": "journal.event_bytes_max",
    "execution.result_bytes_max": "journal.event_bytes_max",
    "execution.timeout_s": "execution.timeout_s_max",
    "journal.transaction_bytes_max": "net.message_bytes_max",
}
"""Limits that only make sense if they are not over another: an event fits into a transaction, and so on."""
