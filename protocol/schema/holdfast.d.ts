// The holdfast protocol. Generated from the protocol's types by `python -m holdfast_protocol.schema`.
// Members that may be absent have `?`; unknown members are to be ignored.

/** An agent gave its result. */
export interface AgentCompleted {
  type: "agent_completed";
  seq: number;
  at: number;
  runId?: string | null;
  agent: string;
  result: unknown;
  sessionId?: string | null;
  confidence?: number | null;
}

/** An agent ended without a result. */
export interface AgentFailed {
  type: "agent_failed";
  seq: number;
  at: number;
  runId?: string | null;
  agent: string;
  error: ErrorInfo;
  sessionId?: string | null;
}

/** An agent that can drive a session's runs. */
export interface AgentInfo {
  name: string;
  description: string;
}

/** The daemon's agents, and with a session those of its plugins. */
export interface AgentListParams {
  sessionId?: string | null;
}

/** The agents; `default` is used where a session names none. */
export interface AgentListResult {
  agents: AgentInfo[];
  default: string;
}

/** A sub-agent or reactive agent is to run. */
export interface AgentRequested {
  type: "agent_requested";
  seq: number;
  at: number;
  runId?: string | null;
  agent: string;
  priority: number;
  cause: string;
}

/** A result no longer holds, because an input it stood on went. */
export interface AgentResultRemoved {
  type: "agent_result_removed";
  seq: number;
  at: number;
  runId?: string | null;
  agent: string;
  cause: string;
}

/** A child session began; subscribe to it from `start` to follow. */
export interface AgentStarted {
  type: "agent_started";
  seq: number;
  at: number;
  runId?: string | null;
  agent: string;
  sessionId: string;
  epoch: string;
  toolCallId?: string | null;
}

/**
 * What one run may use before it pauses and asks whether to go on; what is absent is not bounded.
 *
 * Looked at between steps: a step that has begun is finished. An answer to go on gives as much
 * again.
 */
export interface Budget {
  /** model responses. */
  steps?: number | null;
  /** input and output, cached ones too. */
  tokens?: number | null;
  /** in USD; where the price is unknown, the run asks before its second step. */
  cost?: number | null;
  /** time, without that spent waiting for people. */
  wallMs?: number | null;
}

/** The call to cancel, by its id. Runs are cancelled with `session/cancel`. */
export interface CancelRequestParams {
  id: string | number;
}

/** A sub-agent's session that has not ended. */
export interface Child {
  agent: string;
  sessionId: string;
  epoch: string;
}

/** What the client can do. */
export interface ClientCapabilities {
  /** the requests a person at this client can answer. */
  answers?: ("form" | "permission" | "question")[];
}

/** Who calls. `id` is stable over reconnects of one client: idempotency keys belong to it. */
export interface ClientInfo {
  id: string;
  name?: string;
  version?: string;
}

/** A slash command: the prompt `/NAME words` stands for its text. */
export interface CommandInfo {
  name: string;
  description: string;
  source: "mcp" | "plugin" | "project" | "user";
  /** a file, a plugin, or a server. */
  origin: string;
  /** what may stand behind the name. */
  hint?: string | null;
}

/** Which session. */
export interface CommandListParams {
  sessionId: string;
}

/** The commands, by name. */
export interface CommandListResult {
  commands: CommandInfo[];
}

/**
 * The model's view of events up to and with `upto` was replaced by a summary; the log keeps them.
 */
export interface Compacted {
  type: "compacted";
  seq: number;
  at: number;
  runId?: string | null;
  upto: number;
  summary: string;
}

export type ContentBlock =
  | TextBlock
  | ImageBlock
  | ResourceLinkBlock
  | ResourceBlock;

/** A block closed, with its whole text: readable without its start and deltas. */
export interface ContentBlockEnd {
  type: "content_block_end";
  seq: number;
  at: number;
  runId?: string | null;
  blockId: string;
  messageId: string;
  step: number;
  kind: "text" | "thinking" | "tool_input";
  /** all of it; a `tool_input` block's is the JSON as the model wrote it. */
  text: string;
  toolCallId?: string | null;
  tool?: string | null;
  /** the block was cut; the model had more to say. */
  partial?: boolean;
  /** whose `opaque` it is. */
  provider?: string | null;
  /** what that provider wants back verbatim with the block, a thinking signature for example. */
  opaque?: unknown;
}

/** A block opened. `tool_input` blocks say which call and tool their JSON is for. */
export interface ContentBlockStart {
  type: "content_block_start";
  seq: number;
  at: number;
  runId?: string | null;
  blockId: string;
  messageId: string;
  step: number;
  kind: "text" | "thinking" | "tool_input";
  toolCallId?: string | null;
  tool?: string | null;
}

/** Money. Absent where the price is unknown: unknown is not 0. */
export interface Cost {
  amount: number;
  currency?: string;
}

/** The run in progress. */
export interface CurrentRun {
  runId: string;
  promptId: string;
  seq: number;
  startedAt: number;
  status: "paused" | "running";
  agent: string;
  model: string;
  mode?: "accept_edits" | "ask" | "auto" | "plan" | null;
  budget?: Budget | null;
  step?: number;
  continues?: string | null;
  blocks?: OpenBlock[];
  toolCalls?: OpenToolCall[];
  usage?: Usage;
  cost?: Cost | null;
}

/** A plugin's own event. */
export interface Custom {
  type: "custom";
  seq: number;
  at: number;
  runId?: string | null;
  topic: string;
  data: unknown;
}

/** Take no new runs and exit when the last has ended; `cancel: true` takes a drain back. */
export interface DaemonDrainParams {
  cancel?: boolean;
}

/** How many runs are still active. */
export interface DaemonDrainResult {
  state: "draining" | "serving" | "stopping";
  activeRuns: number;
}

/** Interrupt what runs after `grace_ms`, then exit. Interrupted runs can be continued later. */
export interface DaemonShutdownParams {
  graceMs?: number;
}

/** The daemon stops after this answer. */
export interface DaemonShutdownResult {
  activeRuns: number;
}

/** The daemon began to drain or stop, or serves again. */
export interface DaemonStateParams {
  state: "draining" | "serving" | "stopping";
}

/** Nothing. */
export type DaemonStatusParams = { [name: string]: never };

/** A look at the daemon. Limits of every queue are in `initialize`'s answer. */
export interface DaemonStatusResult {
  server: ServerInfo;
  state: "draining" | "serving" | "stopping";
  uptimeMs: number;
  rssBytes: number;
  endpoints: string[];
  sandbox: string;
  sessions: SessionStatistics;
  net: NetStatistics;
  hub: HubStatistics;
  journal: JournalStatistics;
}

/** A change to one file; `old_text` is None for a new file. */
export interface Diff {
  path: string;
  newText: string;
  oldText?: string | null;
}

/** Nothing. */
export type DiscoverParams = { [name: string]: never };

/** The last run that ended; `seq` is its terminal event's. */
export interface EndedRun {
  runId: string;
  promptId: string;
  status: "cancelled" | "completed" | "failed" | "interrupted" | "paused" | "running";
  seq: number;
}

/** A fact that ends nothing by itself. */
export interface Error {
  type: "error";
  seq: number;
  at: number;
  runId?: string | null;
  error: ErrorInfo;
}

/** `error.data` of a response. `kind` is the contract; the rest names what was wrong. */
export interface ErrorData {
  /** one of the kinds of this module's table. */
  kind: string;
  /** whether the same call may succeed later without a change. */
  retryable?: boolean;
  /** when to try again, if known. */
  retryAfterMs?: number | null;
  /** the bad field, as `$.content[0].text`. */
  path?: string | null;
  /** the name of the limit that was hit, as `message_bytes_max`. */
  limit?: string | null;
  /** its value, in the unit its name ends with. */
  limitValue?: number | null;
  /** what was not found or in the way, as `session`, `run`, `model`. */
  resource?: string | null;
  /** the id of that resource. */
  id?: string | null;
  /** the session's head, with `cursor_invalid`. */
  head?: number | null;
  /** the oldest seq that can be read, with `cursor_invalid`. */
  oldest?: number | null;
  /** the session's epoch, with `cursor_invalid`. */
  epoch?: string | null;
  /** what this side supports, with `unsupported_version` and `unsupported`. */
  supported?: unknown[] | null;
  /** finds the report in the daemon's log, with `internal_error`. */
  incidentId?: string | null;
}

/** Why something failed, as a fact in the log. */
export interface ErrorInfo {
  /**
   * a stable name: a kind of the error table, or of models (`auth`, `rate_limited`, `overloaded`,
   * `context_too_long`, `timeout`, `protocol` …) or tools (`tool_failed`, `unknown_tool`,
   * `unknown`).
   */
  kind: string;
  /** one sentence for a person. */
  message: string;
  /** whether trying again later may help. */
  retryable?: boolean;
  /** when, if known. */
  retryAfterMs?: number | null;
  /** the provider that said so. */
  provider?: string | null;
  /** its HTTP status. */
  status?: number | null;
  /** its id for the request. */
  requestId?: string | null;
}

/** A JSON-RPC error object. Foreign peers may send any `data`; ours is `ErrorData`. */
export interface ErrorObject {
  code: number;
  message: string;
  data?: unknown;
}

/** An estimate, replaced. */
export interface EstimateUpdated {
  type: "estimate_updated";
  seq: number;
  at: number;
  runId?: string | null;
  estimate: unknown;
}

export type Event =
  | SessionStarted
  | SessionUpdated
  | ModelSwitched
  | SessionEnded
  | PromptReceived
  | PromptUpdated
  | PromptRemoved
  | RunStarted
  | RunPaused
  | RunResumed
  | RunCompleted
  | RunFailed
  | RunCancelled
  | RunInterrupted
  | Error
  | PlanGenerated
  | ContentBlockStart
  | TokenDelta
  | ContentBlockEnd
  | MessageCompleted
  | PlanUpdated
  | ToolCallStarted
  | ToolOutput
  | ToolCallCompleted
  | ToolCallFailed
  | HookExecuted
  | HookDenied
  | RequestOpened
  | RequestResolved
  | AgentRequested
  | AgentStarted
  | AgentCompleted
  | AgentFailed
  | AgentResultRemoved
  | InputAdded
  | InputRemoved
  | ReportUpdated
  | EstimateUpdated
  | Custom
  | UsageUpdated
  | Compacted
  | Notice
  | OwnerChanged;

/** A hook refused the call, or failed and so refused it. */
export interface HookDenied {
  type: "hook_denied";
  seq: number;
  at: number;
  runId?: string | null;
  hook: string;
  event: string;
  reason: string;
  durationMs?: number | null;
  toolCallId?: string | null;
}

/** A hook ran and let the call go on, perhaps changed. */
export interface HookExecuted {
  type: "hook_executed";
  seq: number;
  at: number;
  runId?: string | null;
  hook: string;
  event: string;
  decision: "allow" | "modify";
  durationMs: number;
  toolCallId?: string | null;
  reason?: string | null;
}

/** A tool the client runs. It takes the place of one of the daemon's of the same name. */
export interface HostedTool {
  name: string;
  description: string;
  inputSchema: { [name: string]: unknown };
  kind?: "delete" | "edit" | "execute" | "fetch" | "move" | "other" | "read" | "search" | "think";
}

/** An MCP server over streamable HTTP. `headers` are stored and never shown. */
export interface HttpServer {
  type: "http";
  name: string;
  url: string;
  headers?: { [name: string]: string };
}

/** Since the start, but `subscribers`, `lagging` and `ring_bytes`, which are now. */
export interface HubStatistics {
  published: number;
  delivered: number;
  batches: number;
  lagged: number;
  subscribers: number;
  lagging: number;
  ringBytes: number;
  byType: { [name: string]: number };
}

/** An image, base64 in `data`. */
export interface ImageBlock {
  type: "image";
  mimeType: string;
  data: string;
}

/** The first message. `versions` are protocol revisions the client speaks. */
export interface InitializeParams {
  protocol: "holdfast";
  versions: number[];
  client: ClientInfo;
  token?: string | null;
  capabilities?: ClientCapabilities;
}

/** The revision both speak, who the daemon is, and what this connection may do. */
export interface InitializeResult {
  version: number;
  server: ServerInfo;
  capabilities: ServerCapabilities;
  limits: Limits;
  role: "approver" | "controller" | "observer";
}

/** Something reactive agents look at came in. */
export interface InputAdded {
  type: "input_added";
  seq: number;
  at: number;
  runId?: string | null;
  inputId: string;
  kind: string;
  data?: unknown;
}

/** Something reactive agents looked at went. */
export interface InputRemoved {
  type: "input_removed";
  seq: number;
  at: number;
  runId?: string | null;
  inputId: string;
}

/** A file that tells agents about the project, as AGENTS.md; `problem`: why it was not read. */
export interface Instructions {
  path: string;
  text?: string;
  problem?: string | null;
}

/** Since the start, but `pending` and `halted`, which are now. */
export interface JournalStatistics {
  committed: number;
  transactions: number;
  merged: number;
  bytes: number;
  failures: number;
  pending: number;
  halted: number;
  sqlite: string;
}

/**
 * Limits that concern a client; each is named in the error it causes. Bytes unless the name says
 * so.
 */
export interface Limits {
  messageBytesMax: number;
  eventBytesMax: number;
  batchBytesMax: number;
  snapshotBytesMax: number;
  depthMax: number;
  membersMax: number;
  requestsInFlightMax: number;
  requestsPerSecondMax: number;
  subscribersPerSessionMax: number;
  queuedPromptsMax: number;
  readEventsMax: number;
}

/** A place in a file, absolute; lines count from 1. */
export interface Location {
  path: string;
  line?: number | null;
}

/** Which session; its servers are started if they were not. */
export interface McpListParams {
  sessionId: string;
}

/** The session's servers. */
export interface McpListResult {
  servers: McpServerInfo[];
}

/** Which server of which session. */
export interface McpRestartParams {
  sessionId: string;
  server: string;
}

/** How the server stands: it is being started anew. */
export interface McpRestartResult {
  server: McpServerInfo;
}

/** An MCP server of a session. */
export interface McpServerInfo {
  name: string;
  type: "http" | "stdio";
  /** who declared it: `configuration`, `client`, or `plugin NAME`. */
  origin: string;
  status: string;
  tools?: number;
  resources?: number;
  prompts?: number;
  /** how often it was started. */
  starts?: number;
  /** why it is not running. */
  error?: string | null;
}

/** A model response came to its end. */
export interface MessageCompleted {
  type: "message_completed";
  seq: number;
  at: number;
  runId?: string | null;
  messageId: string;
  step: number;
  usage: Usage;
  stopReason: "budget" | "end_turn" | "max_steps" | "max_tokens" | "pause_turn" | "refusal" | "stop_sequence" | "tool_use";
  detail?: string | null;
}

/** A model. `context_tokens` is its window, if known. */
export interface ModelInfo {
  name: string;
  provider: string;
  description: string;
  contextTokens?: number | null;
}

/** Nothing. */
export type ModelListParams = { [name: string]: never };

/** The models; `default` is used where a session names none. */
export interface ModelListResult {
  models: ModelInfo[];
  default: string;
}

/** Later runs use another model. */
export interface ModelSwitched {
  type: "model_switched";
  seq: number;
  at: number;
  runId?: string | null;
  model: string;
  previous: string;
  by?: string | null;
}

/** What was used of one model. */
export interface ModelUsage {
  runs: number;
  reported: UsageShare;
  estimated: UsageShare;
  model: string;
}

/** What was done is durable up to and with `seq`. */
export interface MutationResult {
  seq: number;
  replayed?: boolean;
}

/** `connections` and `unauthenticated` are now, the others since the start. */
export interface NetStatistics {
  connections: number;
  unauthenticated: number;
  accepted: number;
  refused: number;
  requests: number;
}

/** Something a person should know; `kind` is stable, `message` is a sentence. */
export interface Notice {
  type: "notice";
  seq: number;
  at: number;
  runId?: string | null;
  kind: string;
  message: string;
  level?: "info" | "warning";
}

/**
 * A block that streams. `text` is its end so far; `length` counts all its code points.
 *
 * If `text` is shorter than `length`, its beginning was cut to keep the snapshot small: read the
 * log.
 */
export interface OpenBlock {
  blockId: string;
  messageId: string;
  step: number;
  kind: "text" | "thinking" | "tool_input";
  text: string;
  length: number;
  toolCallId?: string | null;
  tool?: string | null;
}

/** A request that waits for an answer. */
export interface OpenRequest {
  sessionId: string;
  request: RequestOpened;
}

/** A tool call without an outcome. `text` is its output so far, `length` as in `OpenBlock`. */
export interface OpenToolCall {
  toolCallId: string;
  step: number;
  tool: string;
  kind: "delete" | "edit" | "execute" | "fetch" | "move" | "other" | "read" | "search" | "think";
  title: string;
  input: unknown;
  text: string;
  length: number;
  /** `input` was left out, or `title` cut, to keep the snapshot small. */
  truncated?: boolean;
}

/** Where a forked session comes from: the other's events up to and with `seq`. */
export interface Origin {
  sessionId: string;
  epoch: string;
  seq: number;
}

/** Another daemon took the session over. */
export interface OwnerChanged {
  type: "owner_changed";
  seq: number;
  at: number;
  runId?: string | null;
  instanceId: string;
}

/** Nothing. */
export type PingParams = { [name: string]: never };

/** Nothing: the answer is the answer. */
export type PingResult = { [name: string]: never };

/** One entry of a plan. */
export interface PlanEntry {
  content: string;
  priority: "high" | "low" | "medium";
  status: "completed" | "in_progress" | "pending";
}

/** The plan a run in plan mode ends with, as Markdown. */
export interface PlanGenerated {
  type: "plan_generated";
  seq: number;
  at: number;
  runId?: string | null;
  plan: string;
}

/** The whole list of the todo tool, replaced. */
export interface PlanUpdated {
  type: "plan_updated";
  seq: number;
  at: number;
  runId?: string | null;
  entries: PlanEntry[];
}

/** A plugin and what it brings, by name; a `problem` takes off what it is about. */
export interface PluginInfo {
  name: string;
  scope: "project" | "user";
  folder: string;
  status: "failed" | "loaded" | "partly";
  version?: string | null;
  description?: string | null;
  models?: string[];
  skills?: string[];
  commands?: string[];
  mcpServers?: string[];
  agents?: string[];
  hooks?: string[];
  prompts?: string[];
  problems?: Problem[];
}

/**
 * The user's plugins; with a session or a directory also those of its project, if that is trusted.
 */
export interface PluginListParams {
  sessionId?: string | null;
  cwd?: string | null;
}

/** The plugins. `project` is the project's directory, `trusted` whether its folder was read. */
export interface PluginListResult {
  plugins: PluginInfo[];
  project?: string | null;
  trusted?: boolean;
}

/** Nothing. */
export type PluginReloadParams = { [name: string]: never };

/** How many sessions take the plugins up anew, each at its next run. */
export interface PluginReloadResult {
  sessions: number;
}

/** Why something is off. `line` counts from 1; `field` is a path as `skills[0].module`. */
export interface Problem {
  file: string;
  message: string;
  line?: number | null;
  field?: string | null;
}

/**
 * A prompt was admitted, durably.
 *
 * `queued` ones wait in log order; a `steered` one waits for the run's next step, before all
 * others; one that interrupts waits for the run's end, before all others. Of a slash command,
 * `content` is what it stands for and `command` what was typed.
 */
export interface PromptReceived {
  type: "prompt_received";
  seq: number;
  at: number;
  runId?: string | null;
  promptId: string;
  content: ContentBlock[];
  delivery: "interrupt" | "queue" | "reject" | "steer";
  status: "delivered" | "queued" | "refused" | "started" | "steered";
  by: string;
  command?: string | null;
  model?: string | null;
  mode?: "accept_edits" | "ask" | "auto" | "plan" | null;
  budget?: Budget | null;
}

/** A queued prompt will not run. */
export interface PromptRemoved {
  type: "prompt_removed";
  seq: number;
  at: number;
  runId?: string | null;
  promptId: string;
  reason: string;
  by?: string | null;
}

/** A prompt left the queue for a run, or changed while waiting; an absent member did not change. */
export interface PromptUpdated {
  type: "prompt_updated";
  seq: number;
  at: number;
  runId?: string | null;
  promptId: string;
  status?: "delivered" | "queued" | "refused" | "started" | "steered" | null;
  step?: number | null;
  content?: ContentBlock[] | null;
  position?: number | null;
  by?: string | null;
}

/** Whose queue. */
export interface QueueListParams {
  sessionId: string;
}

/** The waiting prompts, the next to run first. `held`: they wait for `session/continue`. */
export interface QueueListResult {
  prompts: QueuedPrompt[];
  held: boolean;
  head: number;
}

/** A waiting prompt that is not to run; without `prompt_id`, all of them. */
export interface QueueRemoveParams {
  sessionId: string;
  promptId?: string | null;
  key?: string | null;
}

/** New content for a waiting prompt, or another place (from 1) for it, or both. */
export interface QueueUpdateParams {
  sessionId: string;
  promptId: string;
  content?: ContentBlock[] | null;
  position?: number | null;
  key?: string | null;
}

/**
 * A prompt that waits: interrupting ones first, then steering ones, then the rest in log order.
 *
 * `truncated` says that `content` was cut to keep the snapshot small.
 */
export interface QueuedPrompt {
  promptId: string;
  content: ContentBlock[];
  by: string;
  seq: number;
  delivery?: "interrupt" | "queue" | "reject" | "steer";
  model?: string | null;
  mode?: "accept_edits" | "ask" | "auto" | "plan" | null;
  budget?: Budget | null;
  truncated?: boolean;
}

/** The standing report of reactive agents, replaced. */
export interface ReportUpdated {
  type: "report_updated";
  seq: number;
  at: number;
  runId?: string | null;
  completion: number;
  recommendations?: string[];
  nextSteps?: string[];
}

/** Open requests of one session, or of all. */
export interface RequestListParams {
  sessionId?: string | null;
}

/** The open requests, oldest first within a session. */
export interface RequestListResult {
  requests: OpenRequest[];
}

/** A question to people. It waits, also across a restart, until somebody answers or it expires. */
export interface RequestOpened {
  type: "request_opened";
  seq: number;
  at: number;
  runId?: string | null;
  requestId: string;
  kind: "form" | "permission" | "question";
  title: string;
  detail: unknown;
  options: RequestOption[];
  toolCallId?: string | null;
  expiresAt?: number | null;
  /**
   * in snapshots only: `detail`, `title` or `options` are not whole here, to keep the snapshot
   * small; read the event at `seq` before answering.
   */
  truncated?: boolean;
}

/** One answer that is offered. Decide by `kind`; `id` is what is sent back. */
export interface RequestOption {
  id: string;
  label: string;
  kind: "allow_always" | "allow_once" | "allow_session" | "choice" | "deny";
}

/** The one answer that counts; `values` are what a form was filled in with. */
export interface RequestResolved {
  type: "request_resolved";
  seq: number;
  at: number;
  runId?: string | null;
  requestId: string;
  outcome: string;
  by: string;
  scope?: "always" | "once" | "session" | null;
  message?: string | null;
  values?: { [name: string]: unknown } | null;
}

/** An answer. */
export interface RequestRespondParams {
  sessionId: string;
  requestId: string;
  /** `allow` or `deny` for a permission, or the id of one of the request's options. */
  outcome: string;
  /** how far it reaches: this call, this session, or always in this directory. */
  scope?: "always" | "once" | "session";
  /** for the model, or the answer to a question in words. */
  message?: string | null;
  /** of a form, by the names of its fields; at most 64 KiB of JSON. */
  values?: { [name: string]: unknown } | null;
  key?: string | null;
}

/** Whether this answer is the one that counts; `outcome` and `by` are the one that does. */
export interface RequestRespondResult {
  accepted: boolean;
  outcome: string;
  by: string;
  seq: number;
  replayed?: boolean;
}

/** A file or page whose text the client encloses, for example an unsaved buffer. */
export interface ResourceBlock {
  type: "resource";
  uri: string;
  text: string;
  mimeType?: string | null;
}

/** A file or page named by its URI; the agent may read it. */
export interface ResourceLinkBlock {
  type: "resource_link";
  uri: string;
  name?: string | null;
  mimeType?: string | null;
}

/** A standing answer. */
export interface Rule {
  ruleId: string;
  decision: "allow" | "deny";
  /** the tool it is about. */
  tool: string;
  by: string;
  /** the tool is one that a client runs; the daemon's own of that name is not meant. */
  hosted?: boolean;
  createdAt: number;
  /** the exact command or input it covers; None: every call of the tool. */
  match?: string | null;
  /** the session it holds in; None: every session of the directory `cwd`. */
  sessionId?: string | null;
  cwd?: string | null;
}

/** All rules, or those that hold in one session. */
export interface RuleListParams {
  sessionId?: string | null;
}

/** The rules, oldest first. */
export interface RuleListResult {
  rules: Rule[];
}

/** Which rule. */
export interface RuleRemoveParams {
  ruleId: string;
}

/** Whether there was one. */
export interface RuleRemoveResult {
  removed: boolean;
}

/** Terminal: a client asked for it. */
export interface RunCancelled {
  type: "run_cancelled";
  seq: number;
  at: number;
  runId?: string | null;
  by: string;
  usage?: Usage | null;
  cost?: Cost | null;
  durationMs?: number | null;
}

/** Terminal: the agent came to its end. */
export interface RunCompleted {
  type: "run_completed";
  seq: number;
  at: number;
  runId?: string | null;
  stopReason: "budget" | "end_turn" | "max_steps" | "max_tokens" | "pause_turn" | "refusal" | "stop_sequence" | "tool_use";
  usage: Usage;
  durationMs: number;
  steps: number;
  cost?: Cost | null;
}

/** Terminal: the run could not go on; nothing it did is undone. */
export interface RunFailed {
  type: "run_failed";
  seq: number;
  at: number;
  runId?: string | null;
  error: ErrorInfo;
  usage?: Usage | null;
  cost?: Cost | null;
  durationMs?: number | null;
}

/** Terminal: the daemon stopped under it. `session/continue` takes it up in a new run. */
export interface RunInterrupted {
  type: "run_interrupted";
  seq: number;
  at: number;
  runId?: string | null;
  cause: string;
  usage?: Usage | null;
  cost?: Cost | null;
  durationMs?: number | null;
}

/** The run waits for a person, or for a limit to be lifted. */
export interface RunPaused {
  type: "run_paused";
  seq: number;
  at: number;
  runId?: string | null;
  reason: string;
}

/** The run goes on. */
export interface RunResumed {
  type: "run_resumed";
  seq: number;
  at: number;
  runId?: string | null;
}

/**
 * A run began with a prompt; `continues` names the run it takes up again.
 *
 * `mode` holds for this run alone; absent, the session's holds, also when it changes meanwhile.
 * `budget` is the run's own, or the session's as it stood.
 */
export interface RunStarted {
  type: "run_started";
  seq: number;
  at: number;
  runId?: string | null;
  promptId: string;
  agent: string;
  model: string;
  mode?: "accept_edits" | "ask" | "auto" | "plan" | null;
  budget?: Budget | null;
  continues?: string | null;
}

/** What confines the session's tools. `none` means commands run with the daemon's own rights. */
export interface SandboxInfo {
  kind: string;
  detail?: string | null;
}

/** What the daemon can do beyond the method table of `rpc.discover`. */
export interface ServerCapabilities {
  /** values of `session/prompt`'s `delivery`. */
  deliveries: string[];
  /** transports this daemon listens on. */
  transports: string[];
}

/** Which daemon answers. `instance_id` changes with every start. */
export interface ServerInfo {
  name: string;
  version: string;
  instanceId: string;
  pid: number;
  startedAt: number;
}

/** Cancel the current run, or a named run, or one tool call of it. */
export interface SessionCancelParams {
  sessionId: string;
  runId?: string | null;
  toolCallId?: string | null;
  clearQueue?: boolean;
}

/** Whether there was something to cancel. Its terminal event follows in the log. */
export interface SessionCancelResult {
  cancelled: boolean;
  runId?: string | null;
}

/** Everything up to and with `head` was sent; from here on it is live. */
export interface SessionCaughtUpParams {
  sessionId: string;
  epoch: string;
  head: number;
}

/** Unload the session from memory; a running run is cancelled first unless `ifIdle`. */
export interface SessionCloseParams {
  sessionId: string;
  ifIdle?: boolean;
  key?: string | null;
}

/** Take up the last run, which failed or was interrupted, in a new run. */
export interface SessionContinueParams {
  sessionId: string;
  key?: string | null;
}

/** The new run. */
export interface SessionContinueResult {
  runId: string;
  seq: number;
  replayed?: boolean;
}

/** A new session. A `session_id` chosen by the client is an idempotency key by itself. */
export interface SessionCreateParams {
  /** an absolute directory that exists. */
  cwd: string;
  sessionId?: string | null;
  /** further absolute directories tools may use. */
  roots?: string[];
  agent?: string | null;
  model?: string | null;
  thinking?: "high" | "low" | "medium" | "off";
  /** what tools may do without asking. */
  mode?: "accept_edits" | "ask" | "auto" | "plan";
  /** what becomes of a request when nobody is here to answer it. */
  unattended?: "deny" | "fail" | "wait";
  /** what each run may use before it pauses and asks. */
  budget?: Budget | null;
  title?: string | null;
  /** environment for tools; only allow-listed names are kept. */
  env?: { [name: string]: string };
  /** started for this session, beside those of the configuration and of plugins. */
  mcpServers?: (StdioServer | HttpServer)[];
  /** the client's own data, returned as it is; at most 16 KiB of JSON. */
  meta?: unknown;
  key?: string | null;
}

/** The session; `seq` is durable. */
export interface SessionCreateResult {
  sessionId: string;
  epoch: string;
  seq: number;
  replayed?: boolean;
}

/** Delete the session and its log, finally. A running run is cancelled first. */
export interface SessionDeleteParams {
  sessionId: string;
  key?: string | null;
}

/** It is gone. */
export interface SessionDeleteResult {
  replayed?: boolean;
}

/** The last event a subscriber sees of a deleted session. */
export interface SessionEnded {
  type: "session_ended";
  seq: number;
  at: number;
  runId?: string | null;
  reason: string;
}

/** A batch. It covers `from`..`to`; `from` is the cursor + 1, else something was lost. */
export interface SessionEventsParams {
  sessionId: string;
  epoch: string;
  from: number;
  to: number;
  events: Event[];
}

/** One page of the log as JSON lines; `after` is the `next` of the page before. */
export interface SessionExportParams {
  sessionId: string;
  after?: number;
}

/**
 * Lines of an export file, each one JSON object without its newline.
 *
 * The first page begins with a header line `{"format": "holdfast-export", "version": 1, …}`; each
 * further line is one event. No `next` on the last page.
 */
export interface SessionExportResult {
  lines: string[];
  head: number;
  next?: number | null;
}

/** A new session that begins with this one's events up to and with `at` (default: the head). */
export interface SessionForkParams {
  sessionId: string;
  at?: number | null;
  newSessionId?: string | null;
  title?: string | null;
  key?: string | null;
}

/** Events `from`..`to` were not sent and will not be. */
export interface SessionGapParams {
  sessionId: string;
  epoch: string;
  from: number;
  to: number;
  reason: string;
}

/** Which session. */
export interface SessionGetParams {
  sessionId: string;
}

/** Its row and its snapshot, at one head. */
export interface SessionGetResult {
  session: SessionInfo;
  snapshot: Snapshot;
}

/** The session's log cannot be written; its run was cancelled. Reading goes on. */
export interface SessionHaltedParams {
  sessionId: string;
  epoch: string;
  kind: string;
}

/** One row of the session list. Times are Unix ms. */
export interface SessionInfo {
  sessionId: string;
  epoch: string;
  cwd: string;
  agent: string;
  model: string;
  status: "ended" | "idle" | "paused" | "running";
  head: number;
  createdAt: number;
  updatedAt: number;
  archived?: boolean;
  title?: string | null;
  runId?: string | null;
  forkedFrom?: Origin | null;
  parent?: string | null;
}

/** The client reads too slowly: it is being sent the log from `cursor` at its own pace. */
export interface SessionLaggedParams {
  sessionId: string;
  epoch: string;
  cursor: number;
  head: number;
}

/**
 * Which sessions, newest first. `cursor` is the `next` of the page before.
 *
 * Sessions of sub-agents are listed only with `parent`, the session they work for.
 */
export interface SessionListParams {
  cwd?: string | null;
  parent?: string | null;
  archived?: boolean;
  limit?: number;
  cursor?: string | null;
}

/** One page; no `next` on the last. */
export interface SessionListResult {
  sessions: SessionInfo[];
  next?: string | null;
}

/**
 * A prompt. A `prompt_id` chosen by the client makes it idempotent, over connections and restarts.
 */
export interface SessionPromptParams {
  sessionId: string;
  content: ContentBlock[];
  promptId?: string | null;
  delivery?: "interrupt" | "queue" | "reject" | "steer";
  model?: string | null;
  mode?: "accept_edits" | "ask" | "auto" | "plan" | null;
  budget?: Budget | null;
  key?: string | null;
}

/** The prompt is durable. `run_id` if it started a run, `position` (from 1) if it waits. */
export interface SessionPromptResult {
  promptId: string;
  status: "delivered" | "queued" | "refused" | "started" | "steered";
  seq: number;
  runId?: string | null;
  position?: number | null;
  replayed?: boolean;
}

/**
 * One page of the log: forwards after `after`, or backwards before `before`; oldest first in both.
 */
export interface SessionReadParams {
  sessionId: string;
  after?: number | null;
  before?: number | null;
  limit?: number;
  types?: string[] | null;
  runId?: string | null;
}

/** The page covers `from`..`to`; `more` says whether the log goes on in that direction. */
export interface SessionReadResult {
  epoch: string;
  from: number;
  to: number;
  head: number;
  events: Event[];
  more: boolean;
}

/**
 * The first event of every log. Paths are absolute; `parent` is the session a sub-agent works for.
 */
export interface SessionStarted {
  type: "session_started";
  seq: number;
  at: number;
  runId?: string | null;
  cwd: string;
  agent: string;
  model: string;
  sandbox: SandboxInfo;
  thinking?: "high" | "low" | "medium" | "off";
  mode?: "accept_edits" | "ask" | "auto" | "plan";
  unattended?: "deny" | "fail" | "wait";
  budget?: Budget | null;
  roots?: string[];
  title?: string | null;
  instructions?: Instructions[];
  parent?: string | null;
  meta?: unknown;
}

/** Now. */
export interface SessionStatistics {
  loaded: number;
  activeRuns: number;
}

/** Follow a session from a cursor. */
export interface SessionSubscribeParams {
  sessionId: string;
  /**
   * exclusive: the last seq the client has. `head` gives a snapshot and what comes after it;
   * `start` is 0.
   */
  after?: "head" | "start" | number;
  /** the epoch the cursor belongs to; checked if given. */
  epoch?: string | null;
  /** only these events. What a filter leaves out still moves the range a batch covers. */
  types?: string[] | null;
  deltas?: "all" | "none" | "settled";
  /**
   * what happens if this client reads too slowly: read the log at its own pace, skip to the head
   * with `session/gap`, or hold the session (at most 5 s, one client per session).
   */
  onLag?: "block" | "catch_up" | "skip";
}

/** Batches follow, the first from `from`; `snapshot` only after `head`. */
export interface SessionSubscribeResult {
  epoch: string;
  from: number;
  head: number;
  /** the oldest seq in the log. */
  oldest: number;
  snapshot?: Snapshot | null;
}

/** Stop following; not an error if nothing was followed. */
export interface SessionUnsubscribeParams {
  sessionId: string;
}

/** The cursor when it stopped; None if there was no subscription. */
export interface SessionUnsubscribeResult {
  cursor?: number | null;
}

/** New settings; absent members stay. `expect` refuses the change if the head has moved on. */
export interface SessionUpdateParams {
  sessionId: string;
  title?: string;
  archived?: boolean;
  agent?: string;
  model?: string;
  thinking?: "high" | "low" | "medium" | "off";
  mode?: "accept_edits" | "ask" | "auto" | "plan";
  unattended?: "deny" | "fail" | "wait";
  budget?: Budget;
  meta?: unknown;
  expect?: number | null;
  key?: string | null;
}

/**
 * Settings changed; an absent member did not change; an empty `budget` bounds nothing.
 *
 * With a `runId`, only `mode` is given, and it is that of the run, which had one of its own.
 */
export interface SessionUpdated {
  type: "session_updated";
  seq: number;
  at: number;
  runId?: string | null;
  title?: string | null;
  archived?: boolean | null;
  agent?: string | null;
  thinking?: "high" | "low" | "medium" | "off" | null;
  mode?: "accept_edits" | "ask" | "auto" | "plan" | null;
  unattended?: "deny" | "fail" | "wait" | null;
  budget?: Budget | null;
  roots?: string[] | null;
  meta?: unknown;
  forkedFrom?: Origin | null;
  sandbox?: SandboxInfo | null;
  instructions?: Instructions[] | null;
  by?: string | null;
}

/** Wait for a run's terminal event; give `run_id` or `prompt_id`. */
export interface SessionWaitParams {
  sessionId: string;
  runId?: string | null;
  promptId?: string | null;
  timeoutMs?: number;
}

/** How the run stands. `done` is false if the time ran out; then `status` is the present one. */
export interface SessionWaitResult {
  done: boolean;
  status: "cancelled" | "completed" | "failed" | "interrupted" | "paused" | "queued" | "removed" | "running";
  runId?: string | null;
  /** the terminal event's, if done. */
  seq?: number | null;
}

/**
 * A row of the session list appeared, changed or went.
 *
 * `many` names none: this client read too slowly to be told of each, and should list again.
 */
export interface SessionsChangedParams {
  change: "created" | "deleted" | "many" | "updated";
  sessionId?: string | null;
  session?: SessionInfo | null;
}

/** A session's settings. Paths are absolute. */
export interface Settings {
  cwd: string;
  agent: string;
  model: string;
  sandbox: SandboxInfo;
  thinking?: "high" | "low" | "medium" | "off";
  mode?: "accept_edits" | "ask" | "auto" | "plan";
  unattended?: "deny" | "fail" | "wait";
  budget?: Budget | null;
  roots?: string[];
  title?: string | null;
  archived?: boolean;
  instructions?: string[];
  meta?: unknown;
  forkedFrom?: Origin | null;
}

/** A session at `head`. */
export interface Snapshot {
  head: number;
  status: "ended" | "idle" | "paused" | "running";
  settings?: Settings | null;
  run?: CurrentRun | null;
  lastRun?: EndedRun | null;
  queue?: QueuedPrompt[];
  /** the queue waits for `session/continue`, because the last run failed or was interrupted. */
  held?: boolean;
  requests?: RequestOpened[];
  usage?: Usage;
  plan?: PlanEntry[];
  children?: Child[];
  /** how many runs were started. */
  runs?: number;
  /** page back from here with `session/read {before}`; None in an empty log. */
  older?: number | null;
  /**
   * the parts that are not whole here, to keep the snapshot small: texts were cut, items cut or
   * left out. The log has all of it.
   */
  truncated?: ("children" | "plan" | "queue" | "requests" | "run" | "settings")[];
}

/**
 * An MCP server that is a child process. `env` is added to the session's; stored and never shown.
 */
export interface StdioServer {
  type: "stdio";
  name: string;
  command: string;
  args?: string[];
  env?: { [name: string]: string };
}

/** Plain or Markdown text. */
export interface TextBlock {
  type: "text";
  text: string;
}

/** A new token, for a client that is to have no more than `role`. */
export interface TokenCreateParams {
  name: string;
  role: "approver" | "controller" | "observer";
}

/** The token; its secret is given here and never again. */
export interface TokenCreateResult {
  token: string;
  info: TokenInfo;
}

/** Text of an open block; `offset` counts the block's code points before it. */
export interface TokenDelta {
  type: "token_delta";
  seq: number;
  at: number;
  runId?: string | null;
  blockId: string;
  offset: number;
  text: string;
}

/** A token, without its secret. The owner's is not listed. */
export interface TokenInfo {
  tokenId: string;
  name: string;
  role: "approver" | "controller" | "observer";
  createdAt: number;
}

/** Nothing. */
export type TokenListParams = { [name: string]: never };

/** The tokens, oldest first. */
export interface TokenListResult {
  tokens: TokenInfo[];
}

/** Which token. */
export interface TokenRevokeParams {
  tokenId: string;
}

/** How many connections it had; they are closed. */
export interface TokenRevokeResult {
  revoked: boolean;
  connections: number;
}

/** The tool's result as the model sees it. */
export interface ToolCallCompleted {
  type: "tool_call_completed";
  seq: number;
  at: number;
  runId?: string | null;
  toolCallId: string;
  result: ContentBlock[];
  durationMs: number;
  diff?: Diff[];
  /** the result was cut; it says so itself, and how to read the rest. */
  truncated?: boolean;
}

/** The call has no result: failed, refused, cancelled, or (kind `unknown`) cut by a crash. */
export interface ToolCallFailed {
  type: "tool_call_failed";
  seq: number;
  at: number;
  runId?: string | null;
  toolCallId: string;
  error: ErrorInfo;
  durationMs?: number | null;
  /** the output so far, if there was any. */
  partial?: string | null;
}

/** A call for the connection that registered the tool; `cancelled` takes it back. */
export interface ToolCallParams {
  sessionId: string;
  toolCallId: string;
  tool: string;
  input: unknown;
  cancelled?: boolean;
}

/** Durable before the tool runs: a start without an outcome means the outcome is unknown. */
export interface ToolCallStarted {
  type: "tool_call_started";
  seq: number;
  at: number;
  runId?: string | null;
  toolCallId: string;
  step: number;
  tool: string;
  kind: "delete" | "edit" | "execute" | "fetch" | "move" | "other" | "read" | "search" | "think";
  input: unknown;
  title: string;
  locations?: Location[];
}

/** The end of a call this connection runs: `result`, or `error` in a sentence. */
export interface ToolCompleteParams {
  sessionId: string;
  toolCallId: string;
  result?: ContentBlock[] | null;
  error?: string | null;
}

/** Whether the call was still waiting for it. */
export interface ToolCompleteResult {
  accepted: boolean;
}

/** A tool. `input_schema` is JSON Schema of an object; `hosted`: a client runs it. */
export interface ToolInfo {
  name: string;
  description: string;
  kind: "delete" | "edit" | "execute" | "fetch" | "move" | "other" | "read" | "search" | "think";
  inputSchema: { [name: string]: unknown };
  hosted?: boolean;
}

/** The daemon's tools, and with a session those that clients registered with it. */
export interface ToolListParams {
  sessionId?: string | null;
}

/** The tools, in the order models are told of them. */
export interface ToolListResult {
  tools: ToolInfo[];
}

/** Output of a running tool; `offset` counts the call's code points before it. */
export interface ToolOutput {
  type: "tool_output";
  seq: number;
  at: number;
  runId?: string | null;
  toolCallId: string;
  offset: number;
  text: string;
}

/** A piece of output of a call this connection runs. */
export interface ToolOutputParams {
  sessionId: string;
  toolCallId: string;
  text: string;
}

/** Whether the call still runs; if not, its result is not wanted any more. */
export interface ToolOutputResult {
  running: boolean;
}

/** The tools this connection runs for a session; replaces those it registered before. */
export interface ToolRegisterParams {
  sessionId: string;
  tools: HostedTool[];
}

/** How many tools the connection runs now. */
export interface ToolRegisterResult {
  registered: number;
}

/** Nothing. */
export type TrustListParams = { [name: string]: never };

/** The trusted directories, by path. */
export interface TrustListResult {
  directories: TrustedDirectory[];
}

/** Which directory. */
export interface TrustRemoveParams {
  path: string;
}

/** Whether it was trusted. */
export interface TrustRemoveResult {
  removed: boolean;
}

/** A directory whose configuration and instructions are read. `trusted_at` is in Unix ms. */
export interface TrustedDirectory {
  path: string;
  trustedAt: number;
}

/** An event of a type this build does not know. It has a place in the log, and that is all. */
export interface UnknownEvent {
  type: string;
  seq: number;
  at: number;
  runId?: string | null;
}

/** Tokens by class. The input classes are disjoint; `reasoning` is a part of `output`. */
export interface Usage {
  input?: number;
  cacheRead?: number;
  cacheWrite5m?: number;
  cacheWrite1h?: number;
  output?: number;
  reasoning?: number;
  /** the provider gave no figures; these are ours. */
  estimated?: boolean;
}

/** Whose usage, and since when. */
export interface UsageGetParams {
  /** None: all sessions together, deleted ones too. */
  sessionId?: string | null;
  /** Unix ms; the answer begins with the quarter of an hour it lies in. None: the beginning. */
  since?: number | null;
}

/** What was used. */
export interface UsageGetResult {
  /** of all models, also of those that are left out of `models`. */
  total: UsageTotals;
  /** by model, most tokens first. */
  models: ModelUsage[];
  /** Unix ms: where the answer begins, if that was asked. */
  since?: number | null;
  /** how many models are not in `models`. */
  modelsLeftOut?: number;
}

/** Steps whose figures come from one source. */
export interface UsageShare {
  /** model responses. */
  steps: number;
  /** their tokens by class. */
  usage: Usage;
  /** what those of known price cost together, one amount for each currency. */
  costs: Cost[];
  /** steps whose price is unknown; nothing of `costs` is theirs. */
  unpriced?: number;
}

/** Figures of the providers and estimates of ours, which are never added to each other. */
export interface UsageTotals {
  /** that were started. */
  runs: number;
  /** steps whose provider said what they used. */
  reported: UsageShare;
  /** the other steps. */
  estimated: UsageShare;
}

/** What one step used; add these up for a run or a session. */
export interface UsageUpdated {
  type: "usage_updated";
  seq: number;
  at: number;
  runId?: string | null;
  model: string;
  step: number;
  usage: Usage;
  cost?: Cost | null;
}

/** Calls, by method. */
export interface Methods {
  "initialize": { params: InitializeParams; result: InitializeResult };
  "ping": { params: PingParams; result: PingResult };
  "rpc.discover": { params: DiscoverParams; result: { [name: string]: unknown } };
  "session/create": { params: SessionCreateParams; result: SessionCreateResult };
  "session/list": { params: SessionListParams; result: SessionListResult };
  "session/get": { params: SessionGetParams; result: SessionGetResult };
  "session/update": { params: SessionUpdateParams; result: MutationResult };
  "session/close": { params: SessionCloseParams; result: MutationResult };
  "session/delete": { params: SessionDeleteParams; result: SessionDeleteResult };
  "session/fork": { params: SessionForkParams; result: SessionCreateResult };
  "session/export": { params: SessionExportParams; result: SessionExportResult };
  "session/prompt": { params: SessionPromptParams; result: SessionPromptResult };
  "session/cancel": { params: SessionCancelParams; result: SessionCancelResult };
  "session/wait": { params: SessionWaitParams; result: SessionWaitResult };
  "session/continue": { params: SessionContinueParams; result: SessionContinueResult };
  "queue/list": { params: QueueListParams; result: QueueListResult };
  "queue/update": { params: QueueUpdateParams; result: MutationResult };
  "queue/remove": { params: QueueRemoveParams; result: MutationResult };
  "session/subscribe": { params: SessionSubscribeParams; result: SessionSubscribeResult };
  "session/unsubscribe": { params: SessionUnsubscribeParams; result: SessionUnsubscribeResult };
  "session/read": { params: SessionReadParams; result: SessionReadResult };
  "request/list": { params: RequestListParams; result: RequestListResult };
  "request/respond": { params: RequestRespondParams; result: RequestRespondResult };
  "rule/list": { params: RuleListParams; result: RuleListResult };
  "rule/remove": { params: RuleRemoveParams; result: RuleRemoveResult };
  "agent/list": { params: AgentListParams; result: AgentListResult };
  "model/list": { params: ModelListParams; result: ModelListResult };
  "tool/list": { params: ToolListParams; result: ToolListResult };
  "tool/register": { params: ToolRegisterParams; result: ToolRegisterResult };
  "tool/output": { params: ToolOutputParams; result: ToolOutputResult };
  "tool/complete": { params: ToolCompleteParams; result: ToolCompleteResult };
  "trust/list": { params: TrustListParams; result: TrustListResult };
  "trust/remove": { params: TrustRemoveParams; result: TrustRemoveResult };
  "command/list": { params: CommandListParams; result: CommandListResult };
  "plugin/list": { params: PluginListParams; result: PluginListResult };
  "plugin/reload": { params: PluginReloadParams; result: PluginReloadResult };
  "mcp/list": { params: McpListParams; result: McpListResult };
  "mcp/restart": { params: McpRestartParams; result: McpRestartResult };
  "usage/get": { params: UsageGetParams; result: UsageGetResult };
  "daemon/status": { params: DaemonStatusParams; result: DaemonStatusResult };
  "daemon/drain": { params: DaemonDrainParams; result: DaemonDrainResult };
  "daemon/shutdown": { params: DaemonShutdownParams; result: DaemonShutdownResult };
  "token/create": { params: TokenCreateParams; result: TokenCreateResult };
  "token/list": { params: TokenListParams; result: TokenListResult };
  "token/revoke": { params: TokenRevokeParams; result: TokenRevokeResult };
}

/** What the daemon notifies, by method. */
export interface Notifications {
  "sessions/changed": SessionsChangedParams;
  "session/events": SessionEventsParams;
  "session/caughtUp": SessionCaughtUpParams;
  "session/lagged": SessionLaggedParams;
  "session/gap": SessionGapParams;
  "session/halted": SessionHaltedParams;
  "tool/call": ToolCallParams;
  "daemon/state": DaemonStateParams;
}

/** What a client notifies, by method. */
export interface ClientNotifications {
  "$/cancelRequest": CancelRequestParams;
}

/** JSON-RPC error codes, by `data.kind`. */
export interface ErrorCodes {
  "parse_error": -32700;
  "invalid_request": -32600;
  "method_not_found": -32601;
  "invalid_params": -32602;
  "internal_error": -32603;
  "request_cancelled": -32800;
  "auth_required": -32000;
  "overloaded": -32001;
  "not_found": -32002;
  "forbidden": -32003;
  "busy": -32004;
  "unsupported_version": -32005;
  "conflict": -32006;
  "idempotency_conflict": -32007;
  "cursor_invalid": -32008;
  "too_large": -32009;
  "draining": -32010;
  "not_initialized": -32011;
  "unsupported": -32012;
  "storage_unavailable": -32013;
}

export type ErrorKind = keyof ErrorCodes;

export type ErrorCode = ErrorCodes[ErrorKind];
