"""Every promise of the protocol: what it says, where it comes from, and which tests prove it.

A promise has tests, or a gap that says what is missing, or both where the tests prove only a part.
`test_requirements` checks the list against the tests, both ways. Sources are headings of PROTOCOL.md.
"""

from typing import NamedTuple

PENDING = "pending: daemon tests"

PROTOCOL = "tests/protocol/"

TALKS = "tests/conversations/"

EVERY_TALK = "tests/conversations/test_conversations.py::test_a_conversation_goes_as_its_file_says"
"""Proves what holds of every log and every connection: both are checked when a conversation is over."""

KILLED = "tests/crash/test_sigkill_rounds.py::test_nothing_seen_is_lost_or_changed_when_the_daemon_is_killed"


class Requirement(NamedTuple):
    """One promise.

    Attributes:
        id: short and stable, in words joined by hyphens.
        sentence: the promise, as a client would rely on it.
        source: the heading of PROTOCOL.md under which it is made.
        tests: what fails if the promise is broken: `path::test`, or the path of a conversation, in which `*`
            may stand for the rest of a name.
        gap: what no test proves; None if nothing is missing.
    """

    id: str
    sentence: str
    source: str
    tests: tuple[str, ...] = ()
    gap: str | None = None


def _tests(file: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{file}::{name}" for name in names)


FRAMING = "Framing"
TRANSPORTS = "Transports"
HANDSHAKE = "Handshake"
EMBEDDING = "Embedding"
DISCIPLINE = "Discipline"
ERRORS = "Errors"
LIMITS = "Limits"
METHODS = "Methods"
PROMPT = "Prompt"
SUBSCRIBING = "Subscribing"
SNAPSHOTS = "Snapshots"
IDEMPOTENCY = "Idempotency"
ORDER = "Order"
EVENTS = "Events"

REQUIREMENTS: tuple[Requirement, ...] = (
    # Framing ---------------------------------------------------------------------------------------
    Requirement(
        id="framing-detected",
        sentence="The first byte tells the framing; any other first byte closes without a word.",
        source=FRAMING,
        tests=(
            *_tests(
                PROTOCOL + "test_framing.py",
                "test_the_first_byte_tells_the_framing",
                "test_any_other_first_byte_is_not_ours",
            ),
            TALKS + "handshake_garbage.yaml",
            *_tests(
                PROTOCOL + "test_connection.py", "test_anything_else_before_initialize_closes_without_a_word"
            ),
        ),
    ),
    Requirement(
        id="framing-answered-in-kind",
        sentence="A peer is answered in the framing it uses.",
        source=FRAMING,
        tests=_tests(
            PROTOCOL + "test_connection.py",
            "test_a_server_answers_in_the_peers_framing",
            "test_a_client_and_a_server_understand_each_other",
        ),
    ),
    Requirement(
        id="framing-any-split",
        sentence="However the bytes are split, the frames are the same.",
        source=FRAMING,
        tests=(
            *_tests(
                PROTOCOL + "test_framing.py",
                "test_any_split_of_json_lines_gives_the_same_frames",
                "test_any_split_of_header_frames_gives_the_same_frames",
                "test_any_bytes_at_any_split_give_the_same_frames_and_the_same_error",
            ),
            *_tests(
                PROTOCOL + "test_connection.py", "test_any_split_of_the_bytes_gives_the_same_conversation"
            ),
        ),
    ),
    Requirement(
        id="framing-stock-clients",
        sentence="Header names in any case and extra headers are taken, so that stock LSP clients connect.",
        source=FRAMING,
        tests=(
            *_tests(PROTOCOL + "test_framing.py", "test_any_split_of_header_frames_gives_the_same_frames"),
            "tests/peers/test_vscode_jsonrpc.py::test_vscode_jsonrpc_is_notified_of_every_event_in_order",
            "tests/peers/test_pygls.py::test_pygls_creates_prompts_and_is_notified_of_every_event",
        ),
    ),
    Requirement(
        id="transport-loopback-only",
        sentence="Binding beyond loopback is refused.",
        source=TRANSPORTS,
        gap=PENDING,
    ),
    # Handshake ---------------------------------------------------------------------------------------
    Requirement(
        id="handshake-first",
        sentence="Before `initialize` any other request gets not_initialized, then the connection closes.",
        source=HANDSHAKE,
        tests=(
            *_tests(
                PROTOCOL + "test_connection.py",
                "test_another_request_before_initialize_is_refused_and_the_connection_closes",
                "test_a_request_taken_before_initialize_is_answered_closes_for_good",
            ),
            TALKS + "handshake_call_first.yaml",
            "tests/e2e/test_bad_input.py::test_before_initialize_a_request_is_refused_and_the_connection_closes",
        ),
    ),
    Requirement(
        id="handshake-silent",
        sentence="Before `initialize` anything that is no request closes the connection without a word.",
        source=HANDSHAKE,
        tests=(
            *_tests(
                PROTOCOL + "test_connection.py", "test_anything_else_before_initialize_closes_without_a_word"
            ),
            TALKS + "handshake_garbage.yaml",
            TALKS + "handshake_notification_first.yaml",
            TALKS + "handshake_too_large.yaml",
            "tests/e2e/test_bad_input.py::test_before_initialize_anything_else_closes_the_connection_without_a_word",
        ),
    ),
    Requirement(
        id="handshake-pipelined",
        sentence="What a client sends in one piece with `initialize` is served once that is answered.",
        source=HANDSHAKE,
        tests=_tests(
            PROTOCOL + "test_connection.py",
            "test_messages_in_the_chunk_of_initialize_are_served_if_it_is_answered_first",
            "test_a_message_in_the_chunk_of_initialize_may_be_larger_than_the_handshake_allows",
        ),
        gap=PENDING,
    ),
    Requirement(
        id="handshake-token",
        sentence="Every transport but stdio needs the token; else auth_required, then the connection closes.",
        source=HANDSHAKE,
        tests=(
            *_tests(PROTOCOL + "test_connection.py", "test_a_refused_initialize_closes_the_connection"),
            TALKS + "handshake_no_token.yaml",
            TALKS + "handshake_wrong_token.yaml",
        ),
    ),
    Requirement(
        id="handshake-version",
        sentence="Without a common protocol version: unsupported_version, then the connection closes.",
        source=HANDSHAKE,
        tests=(TALKS + "handshake_no_common_version.yaml",),
    ),
    Requirement(
        id="handshake-role",
        sentence="The role comes from the token, never from the client's word, and is said in the answer.",
        source=HANDSHAKE,
        gap="pending: daemon tests of every role",
    ),
    Requirement(
        id="handshake-once",
        sentence="A second `initialize` is refused and changes nothing.",
        source=HANDSHAKE,
        tests=_tests(
            PROTOCOL + "test_connection.py",
            "test_a_second_initialize_is_refused_and_changes_nothing",
            "test_a_second_initialize_before_the_first_is_answered_closes",
        ),
    ),
    # Sidecar -------------------------------------------------------------------------------------------
    Requirement(
        id="sidecar-end-of-input",
        sentence="The end of a sidecar's input interrupts its runs, and it exits.",
        source=EMBEDDING,
        gap=PENDING,
    ),
    Requirement(
        id="sidecar-clean-output",
        sentence="Nothing but frames is ever written to a sidecar's output.",
        source=EMBEDDING,
        gap=PENDING,
    ),
    Requirement(
        id="sidecar-own-state",
        sentence="A sidecar needs a state directory of its own, and locks it.",
        source=EMBEDDING,
        tests=(
            "tests/e2e/test_bad_input.py::test_a_sidecar_without_a_state_directory_is_refused",
            "tests/e2e/test_bad_input.py::test_a_second_daemon_on_the_same_state_refuses_and_names_the_first",
        ),
    ),
    # Discipline ----------------------------------------------------------------------------------------
    Requirement(
        id="discipline-parse-error",
        sentence="Not JSON, not UTF-8, too deep, too many members: parse_error.",
        source=DISCIPLINE,
        tests=(
            *_tests(
                PROTOCOL + "test_jsonrpc.py",
                "test_what_is_not_json_is_a_parse_error_as_a_frame_and_as_params",
                "test_bad_utf_8_is_a_parse_error_wherever_it_stands",
                "test_a_frame_at_the_depth_limit_is_read_and_one_past_it_is_not",
                "test_a_frame_at_the_members_limit_is_read_and_one_past_it_is_not",
                "test_a_damaged_frame_is_judged_as_the_standard_library_judges_it",
            ),
            "tests/e2e/test_bad_input.py::test_a_bad_frame_gets_its_error_and_the_connection_goes_on",
        ),
    ),
    Requirement(
        id="discipline-invalid-request",
        sentence="Not a request, or a batch: invalid_request, under the id if it can be read.",
        source=DISCIPLINE,
        tests=_tests(
            PROTOCOL + "test_jsonrpc.py",
            "test_json_that_is_no_request_is_refused_under_its_id_if_that_can_be_read",
            "test_a_batch_is_refused",
        ),
    ),
    Requirement(
        id="discipline-goes-on",
        sentence="A malformed frame is answered and the connection goes on.",
        source=DISCIPLINE,
        tests=(
            *_tests(
                PROTOCOL + "test_connection.py",
                "test_a_malformed_frame_is_answered_and_the_connection_goes_on",
            ),
            "tests/e2e/test_bad_input.py::test_a_bad_frame_gets_its_error_and_the_connection_goes_on",
        ),
    ),
    Requirement(
        id="discipline-method-not-found",
        sentence="What is not in the method table is method_not_found.",
        source=DISCIPLINE,
        tests=("tests/e2e/test_bad_input.py::test_a_bad_frame_gets_its_error_and_the_connection_goes_on",),
    ),
    Requirement(
        id="discipline-invalid-params",
        sentence="Params that do not fit are invalid_params, with the path of the bad field.",
        source=DISCIPLINE,
        tests=(
            TALKS + "handshake_bad_params.yaml",
            TALKS + "create.yaml",
            TALKS + "prompt.yaml",
            "tests/e2e/test_bad_input.py::test_a_call_that_does_not_fit_is_refused_with_what_was_wrong",
        ),
    ),
    Requirement(
        id="discipline-internal-error",
        sentence="internal_error is only for a bug, with an incident id and never a traceback.",
        source=DISCIPLINE,
        gap=PENDING,
    ),
    Requirement(
        id="discipline-answered-once",
        sentence="Every request is answered exactly once.",
        source=DISCIPLINE,
        tests=(
            *_tests(
                PROTOCOL + "test_connection.py",
                "test_a_request_is_answered_exactly_once",
                "test_whatever_happens_every_request_is_answered_exactly_once",
                "test_an_id_in_flight_is_refused_under_a_null_id_and_the_first_request_stays",
                "test_a_bad_message_under_an_id_in_flight_is_refused_under_a_null_id",
            ),
            EVERY_TALK,
            "tests/e2e/test_bad_input.py::test_an_id_in_flight_is_refused_under_null_and_the_first_call_is_answered",
        ),
    ),
    Requirement(
        id="discipline-notification-never-answered",
        sentence="A notification is never answered.",
        source=DISCIPLINE,
        tests=_tests(PROTOCOL + "test_connection.py", "test_a_notification_is_never_answered"),
    ),
    Requirement(
        id="discipline-params-null",
        sentence="`params: null` is accepted.",
        source=DISCIPLINE,
        tests=_tests(PROTOCOL + "test_jsonrpc.py", "test_a_well_formed_message_is_read"),
        gap=PENDING,
    ),
    Requirement(
        id="discipline-ids",
        sentence="Null, fractional and over-2^63 ids are refused.",
        source=DISCIPLINE,
        tests=_tests(
            PROTOCOL + "test_jsonrpc.py",
            "test_an_id_that_is_no_string_or_integer_in_range_is_refused_under_a_null_id",
            "test_an_id_at_the_limit_is_kept_as_it_is",
        ),
    ),
    Requirement(
        id="discipline-duplicates",
        sentence="A member that occurs twice in one object is refused, at any depth.",
        source=DISCIPLINE,
        tests=_tests(
            PROTOCOL + "test_jsonrpc.py",
            "test_a_member_that_occurs_twice_is_refused_at_any_depth",
            "test_a_member_of_the_envelope_that_occurs_twice_is_refused",
            "test_a_repeated_member_is_always_found_and_never_imagined",
        ),
    ),
    Requirement(
        id="discipline-unknown-members",
        sentence="Unknown members are ignored.",
        source=DISCIPLINE,
        tests=(
            *_tests(PROTOCOL + "test_jsonrpc.py", "test_unknown_members_are_ignored"),
            *_tests(PROTOCOL + "test_methods.py", "test_unknown_members_of_params_are_ignored"),
            *_tests(PROTOCOL + "test_events.py", "test_unknown_members_of_a_known_type_are_ignored"),
        ),
    ),
    Requirement(
        id="discipline-cancel-request",
        sentence="`$/cancelRequest` cancels a call, never a run; after admission it changes nothing.",
        source=DISCIPLINE,
        tests=(
            "tests/peers/test_vscode_jsonrpc.py::test_a_cancellation_token_cancels_the_call_and_not_the_run",
        ),
        gap="pending: daemon tests of a cancel after admission",
    ),
    Requirement(
        id="discipline-error-kind",
        sentence="Every error carries `data.kind`, and whether trying again may help.",
        source=ERRORS,
        tests=(
            *_tests(
                PROTOCOL + "test_errors.py",
                "test_every_kind_has_its_code",
                "test_an_error_of_the_table_survives_the_wire",
                "test_whether_trying_again_helps_is_known_for_every_kind",
            ),
            EVERY_TALK,
        ),
    ),
    Requirement(
        id="discipline-too-large",
        sentence="A message over the limit is too_large under a null id, then the connection closes.",
        source=LIMITS,
        tests=(
            *_tests(
                PROTOCOL + "test_connection.py",
                "test_a_message_at_the_limit_is_read_and_one_past_it_is_refused_under_a_null_id_and_closes",
                "test_a_message_too_large_is_refused_from_its_header",
            ),
            "tests/e2e/test_bad_input.py::test_a_message_may_be_8_mib_and_not_a_byte_more",
        ),
    ),
    Requirement(
        id="discipline-in-flight",
        sentence="Past its requests in flight a connection is overloaded at once, but for cancel and ping.",
        source=LIMITS,
        tests=_tests(
            PROTOCOL + "test_connection.py",
            "test_requests_up_to_the_limit_are_in_flight_and_one_more_is_overloaded",
            "test_cancel_and_ping_are_served_beyond_the_limit",
            "test_nothing_else_is_exempt_from_the_limit",
        ),
    ),
    Requirement(
        id="discipline-limits-said",
        sentence="Limits are in the answer to `initialize`, and an error names the limit it is about.",
        source=LIMITS,
        tests=(
            *_tests(
                PROTOCOL + "test_connection.py",
                "test_requests_up_to_the_limit_are_in_flight_and_one_more_is_overloaded",
                "test_a_message_at_the_limit_is_read_and_one_past_it_is_refused_under_a_null_id_and_closes",
            ),
            TALKS + "handshake.yaml",
            TALKS + "prompt_limits.yaml",
            TALKS + "queue_limit.yaml",
        ),
    ),
    Requirement(
        id="discipline-linear",
        sentence="No frame costs more than time linear in its bytes.",
        source=DISCIPLINE,
        tests=_tests(
            PROTOCOL + "test_jsonrpc.py",
            "test_a_hostile_frame_is_refused_in_time_linear_in_its_bytes",
            "test_a_frame_nested_far_too_deeply_is_refused_before_it_is_decoded",
        ),
    ),
    # Methods -------------------------------------------------------------------------------------------
    Requirement(
        id="methods-discoverable",
        sentence="`rpc.discover` gives a valid OpenRPC document of the whole table.",
        source=METHODS,
        tests=(
            *_tests(
                PROTOCOL + "test_schema.py",
                "test_the_openrpc_document_is_valid",
                "test_every_row_of_the_table_is_in_the_openrpc_document",
            ),
            TALKS + "catalogue.yaml",
        ),
    ),
    Requirement(
        id="methods-schema-true",
        sentence="The generated schemas are fresh, and what is on the wire is valid by them.",
        source=METHODS,
        tests=(
            *_tests(
                PROTOCOL + "test_schema.py",
                "test_the_committed_file_is_fresh",
                "test_every_event_is_valid_as_it_is_on_the_wire",
                "test_params_and_results_are_valid_as_they_are_on_the_wire",
            ),
            EVERY_TALK,
        ),
    ),
    Requirement(
        id="methods-server-notifies-only",
        sentence="The daemon sends notifications and answers, never requests.",
        source=METHODS,
        tests=_tests(PROTOCOL + "test_methods.py", "test_what_the_daemon_sends_is_notifications_only"),
    ),
    Requirement(
        id="methods-daemon",
        sentence="The daemon says how it is, drains without cutting a run, and shuts down after its grace.",
        source="Daemon",
        tests=(TALKS + "daemon_status.yaml", TALKS + "drain*.yaml", TALKS + "shutdown.yaml"),
    ),
    Requirement(
        id="methods-one-subscription",
        sentence="A second subscription of one connection to one session replaces the first atomically.",
        source=METHODS,
        tests=(TALKS + "subscribe_again.yaml",),
    ),
    Requirement(
        id="methods-sessions",
        sentence="Sessions are created, listed, changed, closed, forked, exported and deleted.",
        source=METHODS,
        tests=(
            TALKS + "switch_model.yaml",
            TALKS + "create.yaml",
            TALKS + "list.yaml",
            TALKS + "update.yaml",
            TALKS + "close.yaml",
            TALKS + "fork*.yaml",
            TALKS + "export.yaml",
            TALKS + "delete.yaml",
        ),
    ),
    # Subscribing ---------------------------------------------------------------------------------------
    Requirement(
        id="subscribe-after-exclusive",
        sentence="`after` is the last seq the client has; the first batch begins one past it.",
        source=SUBSCRIBING,
        tests=(
            TALKS + "subscribe.yaml",
            TALKS + "prompt.yaml",
            TALKS + "close.yaml",
        ),
    ),
    Requirement(
        id="subscribe-read",
        sentence="A log can be read page by page, forwards and backwards, by run and by type.",
        source="`session/read`",
        tests=(TALKS + "read.yaml",),
    ),
    Requirement(
        id="subscribe-snapshot-agrees",
        sentence="A snapshot and the events after it fold to what the whole log folds to.",
        source=SNAPSHOTS,
        tests=(
            TALKS + "snapshot.yaml",
            *_tests(
                PROTOCOL + "test_view.py",
                "test_a_snapshot_and_its_tail_give_what_the_whole_log_gives_wherever_it_is_split",
                "test_snapshots_of_snapshots_agree_too",
                "test_a_snapshot_that_was_cut_still_agrees_in_all_but_what_it_says_was_cut",
            ),
            EVERY_TALK,
        ),
    ),
    Requirement(
        id="subscribe-snapshot-bounded",
        sentence="A snapshot is at most 256 KiB, whatever is in the session, and says what it lacks.",
        source=SNAPSHOTS,
        tests=(
            TALKS + "snapshot_blocks.yaml",
            *_tests(
                PROTOCOL + "test_view.py",
                "test_a_snapshot_is_never_over_its_limit_whatever_is_huge",
                "test_a_snapshot_in_which_everything_is_huge_is_within_its_limit_and_says_so",
            ),
            *_tests(
                PROTOCOL + "test_shrink.py",
                "test_what_is_shortened_fits_and_says_what_it_lacks",
                "test_items_that_are_left_are_as_they_were_or_say_that_they_are_not",
            ),
        ),
    ),
    Requirement(
        id="subscribe-range-covers",
        sentence="Each batch says the range it covers, also what a filter left out, without a gap.",
        source=SUBSCRIBING,
        tests=(
            TALKS + "subscribe_filters.yaml",
            EVERY_TALK,
        ),
    ),
    Requirement(
        id="subscribe-settled",
        sentence="`settled` leaves out the deltas of blocks that had ended at registration, and no others.",
        source=SUBSCRIBING,
        gap=PENDING,
    ),
    Requirement(
        id="subscribe-caught-up",
        sentence="`session/caughtUp` comes at the head, once everything before it was sent.",
        source=SUBSCRIBING,
        tests=(TALKS + "prompt.yaml",),
        gap=PENDING,
    ),
    Requirement(
        id="subscribe-cursor-invalid",
        sentence="A cursor beyond the head or of another epoch is an error, never a silent start from now.",
        source=SUBSCRIBING,
        tests=(
            TALKS + "subscribe_refused.yaml",
            "tests/e2e/test_bad_input.py::test_a_call_that_does_not_fit_is_refused_with_what_was_wrong",
        ),
    ),
    Requirement(
        id="subscribe-reconnect",
        sentence="Reconnecting needs only session, epoch and cursor, and loses and repeats nothing.",
        source=SUBSCRIBING,
        tests=(KILLED,),
    ),
    Requirement(
        id="subscribe-slow",
        sentence="A subscriber that reads slowly loses nothing and slows nobody.",
        source=SUBSCRIBING,
        tests=(
            "tests/e2e/test_slow_reader.py::test_a_stopped_reader_delays_nobody_and_gets_everything_afterwards",
            "tests/e2e/test_slow_reader.py::test_a_reader_that_never_reads_changes_nothing_for_the_log",
        ),
    ),
    Requirement(
        id="subscribe-same-bytes",
        sentence="An event is the same bytes for every subscriber, live, replayed and after a restart.",
        source=SUBSCRIBING,
        tests=_tests(
            "tests/e2e/test_same_bytes.py",
            "test_three_transports_get_the_same_event_bytes",
            "test_a_sidecar_sends_its_parent_the_bytes_others_get_over_the_socket",
            "test_a_later_daemon_replays_over_stdio_the_bytes_an_earlier_one_sent_live",
        ),
    ),
    # Idempotency ---------------------------------------------------------------------------------------
    Requirement(
        id="idempotency-declared",
        sentence="Every call with a `key` says in its result whether it was replayed.",
        source=IDEMPOTENCY,
        tests=_tests(
            PROTOCOL + "test_methods.py",
            "test_every_call_that_takes_a_key_says_whether_its_answer_was_replayed",
        ),
    ),
    Requirement(
        id="idempotency-replayed",
        sentence="The same key and params give the same result, with `replayed`, and happen once.",
        source=IDEMPOTENCY,
        tests=(
            TALKS + "create_idempotency.yaml",
            TALKS + "prompt_idempotency.yaml",
        ),
        gap="pending: daemon tests of every call with a key",
    ),
    Requirement(
        id="idempotency-conflict",
        sentence="The same key with other params is idempotency_conflict.",
        source=IDEMPOTENCY,
        tests=(
            TALKS + "create_idempotency.yaml",
            TALKS + "prompt_idempotency.yaml",
        ),
    ),
    Requirement(
        id="idempotency-in-flight",
        sentence="A second call with a key whose first is in flight waits for that.",
        source=IDEMPOTENCY,
        tests=(
            TALKS + "create_idempotency.yaml",
            TALKS + "prompt_idempotency.yaml",
        ),
    ),
    Requirement(
        id="idempotency-durable",
        sentence="A key is stored with what it admitted: it counts once, also after a restart or a crash.",
        source=IDEMPOTENCY,
        tests=(
            TALKS + "create_idempotency.yaml",
            TALKS + "prompt_idempotency.yaml",
        ),
        gap="pending: daemon tests of a crash between the commit and the answer",
    ),
    Requirement(
        id="idempotency-chosen-ids",
        sentence="A `promptId` and a `sessionId` the client chose are keys by themselves.",
        source=IDEMPOTENCY,
        tests=(
            TALKS + "create_idempotency.yaml",
            TALKS + "prompt_idempotency.yaml",
        ),
    ),
    # Queue -----------------------------------------------------------------------------------------------
    Requirement(
        id="queue-goes-on",
        sentence="The queue goes on after completed and cancelled runs.",
        source=PROMPT,
        tests=(TALKS + "queue.yaml",),
    ),
    Requirement(
        id="queue-holds",
        sentence="The queue holds after failed and interrupted runs until continued, and a snapshot says so.",
        source=PROMPT,
        tests=(
            *_tests(
                PROTOCOL + "test_view.py",
                "test_the_queue_waits_after_a_failed_or_interrupted_run_until_the_next_one",
            ),
            TALKS + "continue*.yaml",
        ),
    ),
    Requirement(
        id="queue-cleared",
        sentence="A queue is cleared where all can see it; what was in it never runs.",
        source=PROMPT,
        tests=(TALKS + "clear_queue.yaml",),
    ),
    Requirement(
        id="queue-wait",
        sentence="`session/wait` for a prompt ends with the run that carried it.",
        source=PROMPT,
        tests=(TALKS + "wait.yaml", TALKS + "queue.yaml"),
    ),
    Requirement(
        id="queue-not-built",
        sentence="A prompt to a busy session can steer its run or interrupt it.",
        source=PROMPT,
        gap="not built: `delivery` is `queue` or `reject`, and everything else is invalid_params",
    ),
    # Order -----------------------------------------------------------------------------------------------
    Requirement(
        id="order-seq",
        sentence="`seq` strictly rises by one within a session.",
        source=ORDER,
        tests=(
            EVERY_TALK,
            KILLED,
        ),
    ),
    Requirement(
        id="order-response-first",
        sentence="The response to create, fork and subscribe precedes any notification about it.",
        source=ORDER,
        tests=(
            EVERY_TALK,
            TALKS + "create.yaml",
        ),
    ),
    Requirement(
        id="order-durable-seq",
        sentence="A mutation's response carries a `seq` that is durable by then.",
        source=ORDER,
        tests=(KILLED,),
    ),
    Requirement(
        id="order-seen-is-stored",
        sentence="What a client has seen survives a kill and a power cut.",
        source=ORDER,
        tests=(KILLED,),
        gap="pending: daemon tests of power cuts",
    ),
    Requirement(
        id="order-block",
        sentence="A block starts, grows by deltas at their offsets, and ends with the whole.",
        source=ORDER,
        tests=(
            *_tests(PROTOCOL + "test_view.py", "test_a_delta_that_came_twice_counts_once"),
            EVERY_TALK,
        ),
    ),
    Requirement(
        id="order-terminal",
        sentence="Everything of a run precedes its one terminal event, also after a crash.",
        source=ORDER,
        tests=(
            EVERY_TALK,
            KILLED,
        ),
    ),
    Requirement(
        id="order-request",
        sentence="A request precedes any effect it guards, and is resolved exactly once.",
        source=ORDER,
        gap=PENDING,
    ),
    Requirement(
        id="order-mutations",
        sentence="Mutations of one session act in arrival order per connection.",
        source=ORDER,
        tests=(EVERY_TALK,),
    ),
    Requirement(
        id="order-cancel",
        sentence="Cancel acts on being read, before any queue, and is answered without waiting for the disk.",
        source=ORDER,
        tests=(
            *_tests(PROTOCOL + "test_connection.py", "test_cancel_and_ping_are_served_beyond_the_limit"),
            TALKS + "cancel*.yaml",
        ),
    ),
    # Events ----------------------------------------------------------------------------------------------
    Requirement(
        id="events-tools",
        sentence="A tool call has one start and one outcome; a refused one has no start.",
        source=EVENTS,
        tests=(TALKS + "tools*.yaml",),
    ),
    Requirement(
        id="events-thinking",
        sentence="Thinking is a block of its own, and what is opaque in it goes back to its provider alone.",
        source=EVENTS,
        tests=(TALKS + "thinking.yaml",),
    ),
    Requirement(
        id="events-failed",
        sentence="A model that breaks off fails the run with its reason, and what it said stays.",
        source=EVENTS,
        tests=(TALKS + "model_errors.yaml",),
    ),
    Requirement(
        id="events-round-trip",
        sentence="An event of every type comes back from the wire as it was, byte for byte.",
        source=EVENTS,
        tests=_tests(PROTOCOL + "test_events.py", "test_an_event_of_every_type_comes_back_as_it_was"),
    ),
    Requirement(
        id="events-unknown",
        sentence="An event of an unknown type keeps its place and does not break an older client.",
        source=EVENTS,
        tests=(
            *_tests(PROTOCOL + "test_events.py", "test_an_event_of_a_type_from_the_future_keeps_its_place"),
            *_tests(
                PROTOCOL + "test_view.py",
                "test_a_snapshot_and_its_tail_give_what_the_whole_log_gives_wherever_it_is_split",
            ),
        ),
    ),
    # Conversations ---------------------------------------------------------------------------------------
    Requirement(
        id="request-answered",
        sentence="A call that asks waits for a person: allowed it runs once, denied it never starts.",
        source="Permissions",
        tests=(TALKS + "permission.yaml",),
    ),
    Requirement(
        id="request-race",
        sentence="The first valid answer to a request counts, and a later one is told whose it was.",
        source="`request/respond`",
        tests=(TALKS + "answer_race.yaml",),
    ),
    Requirement(
        id="request-rules",
        sentence="An answer that stands covers the same command in the same session until it is removed.",
        source="Permissions",
        tests=(TALKS + "permission_rules.yaml",),
    ),
    Requirement(
        id="request-plan",
        sentence="A run in plan mode changes nothing and ends in a plan and a question.",
        source="Permissions",
        tests=(TALKS + "plan_mode.yaml",),
    ),
    Requirement(
        id="request-unattended",
        sentence="A request that nobody here can answer is denied or fails the run, as the session says.",
        source="Permissions",
        tests=(TALKS + "unattended.yaml",),
    ),
    Requirement(
        id="request-restart",
        sentence="A request outlives the daemon under its id, and its answer lets the same run go on.",
        source="Permissions",
        tests=(TALKS + "restart_while_asking.yaml",),
    ),
    Requirement(
        id="role-bounds",
        sentence="A token's role bounds what its connections may do, and revoking it ends them.",
        source="Permissions",
        tests=(TALKS + "tokens.yaml",),
    ),
    Requirement(
        id="prompt-steer",
        sentence="A steering prompt enters the present run before its next step.",
        source="`session/prompt`",
        tests=(TALKS + "steer.yaml",),
    ),
    Requirement(
        id="prompt-interrupt",
        sentence="An interrupting prompt cancels the present run and is next.",
        source="`session/prompt`",
        tests=(TALKS + "interrupt.yaml",),
    ),
    Requirement(
        id="queue-edit",
        sentence="Waiting prompts are listed, changed, moved and removed, and everybody sees it.",
        source="`queue/update`",
        tests=(TALKS + "queue_edit.yaml",),
    ),
    Requirement(
        id="tool-hosted",
        sentence="A registered tool is called over its client's connection, and gone with it.",
        source="`tool/register`",
        tests=(TALKS + "hosted_tool.yaml",),
    ),
    Requirement(
        id="usage-once",
        sentence="What was used is added up by class, source, currency and model, and counted once.",
        source="`usage/get`",
        tests=(
            TALKS + "usage.yaml",
            *_tests(
                "tests/methods/test_usage_get.py",
                "test_classes_sources_and_unknown_prices_are_kept_apart",
                "test_a_fork_has_not_used_what_its_source_did",
            ),
        ),
    ),
    Requirement(
        id="usage-unpriced",
        sentence="A step of unknown price is counted as such and costs neither something nor nothing.",
        source="`usage/get`",
        tests=_tests(
            "tests/methods/test_usage_get.py",
            "test_an_unknown_price_is_no_cost_and_a_price_of_nothing_is_one",
        ),
    ),
    Requirement(
        id="usage-since",
        sentence="Usage since a time begins with the quarter of an hour it lies in.",
        source="`usage/get`",
        tests=_tests(
            "tests/methods/test_usage_get.py", "test_since_begins_with_the_quarter_of_an_hour_it_lies_in"
        ),
    ),
    Requirement(
        id="usage-stays",
        sentence="What was used outlives the daemon, and in the total the session that used it.",
        source="`usage/get`",
        tests=(TALKS + "usage_deleted.yaml",),
    ),
    Requirement(
        id="trust-first",
        sentence="Nothing of a project is read as configuration before a person trusted its directory.",
        source="Trust",
        tests=(TALKS + "trust.yaml", TALKS + "trust_restart.yaml"),
    ),
    Requirement(
        id="plugins-listed",
        sentence="A plugin is listed with what it brings and what is wrong, and read again when asked.",
        source="`plugin/list`",
        tests=(TALKS + "plugins.yaml",),
    ),
    Requirement(
        id="mcp-servers",
        sentence="A session has the MCP servers its client asked for, says how each does, and restarts them.",
        source="`mcp/list`",
        tests=(TALKS + "mcp.yaml",),
    ),
    Requirement(
        id="mcp-asks",
        sentence="What an MCP server wants to know of a person is a request, and gets the person's answer.",
        source="Permissions",
        tests=(TALKS + "elicitation.yaml",),
    ),
    Requirement(
        id="sub-agents",
        sentence="A sub-agent works in a session of its own, which ends with its parent's run.",
        source="Sub-agents",
        tests=(TALKS + "delegate.yaml",),
    ),
    Requirement(
        id="discipline-talk",
        sentence="What does not fit is refused for itself, and disturbs nobody else.",
        source="Discipline",
        tests=(
            TALKS + "clients.yaml",
            TALKS + "discipline*.yaml",
            TALKS + "overloaded.yaml",
        ),
    ),
    Requirement(
        id="content-kept",
        sentence="The content of a prompt is kept as it was sent.",
        source="Content",
        tests=(TALKS + "content.yaml",),
    ),
    Requirement(
        id="delete-behind",
        sentence="What arrives behind a delete finds no session.",
        source="`session/delete`",
        tests=(TALKS + "delete_races.yaml",),
    ),
    Requirement(
        id="halted-recovers",
        sentence="A full disk stops the sessions that write, says so, and loses nothing.",
        source="`session/halted`",
        tests=(TALKS + "disk_full.yaml",),
    ),
    Requirement(
        id="order-durable",
        sentence="Calls act in their order, a cancel at once, and an answer is durable.",
        source="Order",
        tests=(
            TALKS + "durable_by_then.yaml",
            TALKS + "order_of_mutations.yaml",
            TALKS + "order_of_cancel.yaml",
        ),
    ),
    Requirement(
        id="handshake-right-token",
        sentence="After many wrong tokens the right one is let in all the same.",
        source="Handshake",
        tests=(TALKS + "handshake_many_wrong_tokens.yaml",),
    ),
    Requirement(
        id="crash-nothing-lost",
        sentence="After a crash nothing seen is lost, and nothing runs twice.",
        source="After a crash",
        tests=(
            TALKS + "kill_in_a_stream.yaml",
            TALKS + "kill_in_a_tool.yaml",
            TALKS + "restart_queue.yaml",
        ),
    ),
    Requirement(
        id="subscribe-lag",
        sentence="Who does not read is served from the log later, and slows nobody.",
        source="Subscribing",
        tests=(TALKS + "lag.yaml",),
    ),
    Requirement(
        id="sessions-apart",
        sentence="Sessions share neither events nor directory nor environment.",
        source="Words",
        tests=(TALKS + "sessions_apart.yaml",),
    ),
    Requirement(
        id="embedding-parent",
        sentence="A sidecar ends with its parent, and what ran can be continued.",
        source="Embedding",
        tests=(TALKS + "sidecar.yaml",),
    ),
    Requirement(
        id="stop-in-order",
        sentence="A stop is an orderly end, and the next start runs nothing by itself.",
        source="`daemon/shutdown`",
        tests=(TALKS + "stop_signal.yaml",),
    ),
    Requirement(
        id="limits-message",
        sentence="A message beyond its limit is refused, and disturbs nobody else.",
        source="Limits",
        tests=(TALKS + "too_large.yaml",),
    ),
    Requirement(
        id="wait-unloaded",
        sentence="Who waits for a run is answered though its session was let go of.",
        source="`session/wait`",
        tests=(TALKS + "wait_unloaded.yaml",),
    ),
)
