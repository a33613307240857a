"""What every subcommand promises, as a table: one row per case, checked by test_shell_contract.py.

Names in braces are sessions of the world the cases run in: `{idle}` has one completed run, `{asking}` waits
for leave to write a file, `{limited}` waits at its limit, `{hanging}` has a run that never ends.
"""

from typing import NamedTuple

SESSIONS = {
    "idle": ("say hello",),
    "asking": ("write a.txt: hello",),
    "limited": ("--max-steps", "1", "list files"),
    "hanging": (
        "--detach",
        "script:\n  - text: I wait.\n    hang: true\n",
    ),
}

# Commands that leave the world as it is, with the document they print.
READS: dict[str, tuple[str, ...]] = {
    "approvals": ("approvals", "--json"),
    "logs": ("logs", "{idle}", "--json"),
    "ps": ("ps", "--json"),
    "status": ("status", "--json"),
    "socket": ("socket", "--json"),
    "version": ("version", "--json"),
    "config": ("config", "list", "--json"),
    "doctor": ("doctor", "--json"),
}

# Commands that change it; each runs in a world of its own. Their documents are the commands'.
CHANGES: dict[str, tuple[str, ...]] = {
    "run": ("run", "--json", "say hello"),
    "send": ("send", "{idle}", "--json", "say more"),
    "approve": ("approve", "{asking}", "--json"),
    "deny": ("deny", "{asking}", "--reason", "no", "--json"),
    "cancel": ("cancel", "{hanging}", "--json"),
    "close": ("close", "{idle}", "--json"),
    "rename": ("rename", "{idle}", "Another", "title", "--json"),
    "fork": ("fork", "{idle}", "--json"),
    "export": ("export", "{idle}", "-o", "log.jsonl", "--json"),
    "rm": ("rm", "{idle}", "{limited}", "--force", "--json"),
    "stop": ("stop", "--now", "--json"),
}

# Without `--json`, because what they print is no document of theirs.
PRINTS: dict[str, tuple[str, ...]] = {
    "help": ("help",),
    "schema": ("schema",),
    "completion": ("completion", "bash"),
    "export to standard output": ("export", "{idle}"),
    "logs as text": ("logs", "{idle}"),
    "logs as lines": ("logs", "{idle}", "--format", "stream-json"),
}


class Ending(NamedTuple):
    """A command line and the exit code it ends with; `said` stands on standard error."""

    arguments: tuple[str, ...]
    exit_code: int
    said: str


USAGE = (
    Ending(("run", "--nonsense", "x"), 2, "unknown option --nonsense"),
    Ending(("run", "--max-steps", "0", "x"), 2, "--max-steps takes a whole number of at least 1"),
    Ending(("run", "--timeout", "-1", "x"), 2, "--timeout takes a number above 0"),
    Ending(("run", "--max-cost", "cheap", "x"), 2, "--max-cost takes a number above 0"),
    Ending(("run", "--mode", "bold", "x"), 2, "--mode takes ask, plan, accept_edits, auto"),
    Ending(("run", "--json", "--format", "text", "x"), 2, "exclude each other"),
    Ending(("run", "-c", "-r", "{idle}", "x"), 2, "exclude each other"),
    Ending(("run", "-r", "{idle}", "--name", "x", "x"), 2, "for a new session"),
    Ending(("run",), 2, "give a prompt"),
    Ending(("attach", "{idle}", "more"), 2, "unexpected argument"),
    Ending(("watch",), 2, "something is missing"),
    Ending(("logs", "{idle}", "-f", "--json"), 2, "-f takes --format stream-json"),
    Ending(("logs", "{idle}", "--since", "x"), 2, "--since takes a whole number"),
    Ending(("logs", "{idle}", "--since", "100000"), 2, "cursor"),
    Ending(("send", "{idle}"), 2, "give a prompt"),
    Ending(("send", "{idle}", "--steer", "--queue", "x"), 2, "exclude each other"),
    Ending(("send", "{idle}", "--continue", "x"), 2, "takes no prompt"),
    Ending(("send", "{idle}", "--continue", "--steer"), 2, "exclude each other"),
    Ending(("approvals", "x", "y"), 2, "unexpected argument"),
    Ending(("approve",), 2, "something is missing"),
    Ending(("approve", "{asking}", "--once", "--always"), 2, "exclude each other"),
    Ending(("approve", "{limited}", "--option", "perhaps"), 2, "continue, stop"),
    Ending(("approve", "r1"), 2, "may be"),
    Ending(("deny", "{asking}", "--reason"), 2, "needs a value"),
    Ending(("ps", "--al"), 2, "did you mean --all?"),
    Ending(("cancel",), 2, "something is missing"),
    Ending(("close", "{idle}", "--forced"), 2, "did you mean --force?"),
    Ending(("rename", "{idle}", " "), 2, "a title has to have"),
    Ending(("fork", "{idle}", "--at", "0"), 2, "--at takes a whole number of at least 1"),
    Ending(("fork", "{idle}", "--at", "100000"), 2, "no such event"),
    Ending(("export", "{idle}", "--json"), 2, "--json needs -o"),
    Ending(("export", "{idle}", "-o", "missing/log"), 2, "cannot write missing/log"),
    Ending(("rm",), 2, "something is missing"),
    Ending(("status", "x"), 2, "unexpected argument"),
    Ending(("stop", "--later"), 2, "unknown option --later"),
    Ending(("socket", "--json=yes"), 2, "takes no value"),
    Ending(("rpc", "x"), 2, "unexpected argument"),
    Ending(("acp", "x"), 2, "unexpected argument"),
    Ending(("version", "x"), 2, "unexpected argument"),
    Ending(("schema", "watchh"), 2, "no command prints"),
    Ending(("schema", "ps", "--as", "openrpc"), 2, "as json-schema only"),
    Ending(("completion", "csh"), 2, "none of bash, zsh, fish"),
    Ending(("help", "nothing"), 2, "there is no command 'nothing'"),
    Ending(("serve", "--nonsense"), 2, "--nonsense"),
    Ending(("config", "list", "more"), 2, "wrong number of arguments"),
    Ending(("doctor", "now"), 2, "unexpected argument"),
    Ending(("--nonsense",), 2, "unknown option --nonsense"),
    Ending((), 2, "usage: holdfast"),
)

NOT_FOUND = tuple(
    Ending(arguments, 6, "'nowhere'")
    for arguments in (
        ("run", "-r", "nowhere", "x"),
        ("attach", "nowhere"),
        ("watch", "nowhere"),
        ("logs", "nowhere"),
        ("send", "nowhere", "x"),
        ("approvals", "nowhere"),
        ("approve", "nowhere"),
        ("deny", "nowhere"),
        ("cancel", "nowhere"),
        ("close", "nowhere"),
        ("rename", "nowhere", "x"),
        ("fork", "nowhere"),
        ("export", "nowhere"),
        ("rm", "nowhere"),
    )
)

NEEDS_AN_ANSWER = (
    Ending(("run", "write b.txt: hello"), 5, "--mode accept_edits would have allowed it"),
    Ending(("run", "run ls"), 5, "holdfast approve "),
    Ending(("run", "--unattended", "fail", "write b.txt: hello"), 5, "nobody was there"),
    Ending(("rm", "{idle}"), 5, "--force"),
    Ending(("close", "{hanging}"), 5, "--force"),
)

AT_A_LIMIT = (
    Ending(("run", "--max-steps", "1", "list files"), 3, "holdfast approve "),
    Ending(("run", "--timeout", "0.001", "list files"), 3, ""),
    Ending(("run", "--timeout", "0.05", SESSIONS["hanging"][-1]), 3, "the time limit has passed"),
)

NOTHING_TO_ANSWER = (
    Ending(("approvals", "{idle}"), 1, "asks nothing"),
    Ending(("approve", "{idle}"), 1, "asks nothing"),
    Ending(("deny", "{hanging}"), 1, "asks nothing"),
)

# Where no daemon runs; the first need none, so none is started.
UNREACHABLE_AS_NONE_RUNS = (
    ("watch", "x"),
    ("approvals",),
    ("approve", "x"),
    ("deny", "x"),
    ("ps",),
    ("cancel", "x"),
    ("close", "x"),
    ("status",),
    ("stop",),
    ("socket", "--no-spawn"),
    ("rpc", "--no-spawn"),
)
UNREACHABLE_AS_NONE_STARTS = (
    ("run", "x"),
    ("attach",),
    ("logs", "x"),
    ("send", "x", "y"),
    ("rename", "x", "y"),
    ("fork", "x"),
    ("export", "x"),
    ("rm", "x"),
    ("serve",),
    ("socket",),
    ("rpc",),
    ("a prompt",),
)
NEED_NO_DAEMON = {
    "acp": ("acp",),
    "help": ("help",),
    "schema": ("schema",),
    "completion": ("completion", "zsh"),
    "version": ("version",),
    "config": ("config", "path"),
    "doctor": ("doctor",),
    "demo": ("demo",),
}

# Commands that last until Ctrl-C, and the line after which they are interrupted.
LASTING = (
    (("run", "--format", "stream-json", SESSIONS["hanging"][-1]), "token_delta"),
    (("watch", "{idle}", "--format", "stream-json"), "run_completed"),
    (("logs", "{idle}", "-f", "--format", "stream-json"), "run_completed"),
)
