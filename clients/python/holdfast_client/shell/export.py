"""`holdfast export ID`: a session's log as JSON lines."""

import json
import os
import sys
from collections.abc import Iterator
from typing import Final

from holdfast_client.shell import reach, sessions
from holdfast_client.shell.arguments import Arguments, Spec
from holdfast_client.shell.exit_codes import OK, UsageError

SPEC: Final = Spec(
    usage="""\
holdfast export ID [-o FILE] [--json]

Write a session's log as JSON lines: a header, then one event per line. It has
all that was said and done in the session, so the file is for you alone (0600).

  -o, --output FILE   write to a file, whole or not at all, instead of standard
                      output
  --json              with -o: one JSON document: {"sessionId": …, "file": …,
                      "events": …, "bytes": …}
""",
    flags={"--json": "json"},
    options={"-o": "output", "--output": "output"},
    positionals=(1, 1),
    completes="session",
)


def run(arguments: Arguments) -> int:
    """Write the log as it is now."""
    output = arguments.options.get("output")
    as_json = "json" in arguments.flags
    if output is None and as_json:
        raise UsageError("--json needs -o FILE: without it the export itself is on standard output")
    wire = reach.started().wire
    session_id = sessions.resolve(wire, arguments.positionals[0])["sessionId"]
    if output is None:
        for line in lines(wire, session_id):
            sys.stdout.write(f"{line}\n")
        return OK
    count, size = _write(output, lines(wire, session_id))
    if as_json:
        print(json.dumps({"sessionId": session_id, "file": output, "events": count - 1, "bytes": size}))
    else:
        print(f"wrote {count - 1:,} events to {output}", file=sys.stderr)
    return OK


def lines(caller: sessions.Caller, session_id: str) -> Iterator[str]:
    """Give the lines of the export, the header first, a page at a time."""
    after = 0
    while True:
        page = caller.call("session/export", {"sessionId": session_id, "after": after})
        yield from page["lines"]
        if page.get("next") is None:
            return
        after = page["next"]


def _write(output: str, content: Iterator[str]) -> tuple[int, int]:
    """Write a file beside the one that is meant, then put it in its place; give its lines and bytes.

    Raises:
        UsageError: it cannot be written there.
    """
    place = os.path.realpath(output)  # Through a symlink: the file it names is the one that is meant.
    if os.path.lexists(place) and not os.path.isfile(place):  # noqa: PTH113 - as below
        raise UsageError(f"{output} is no regular file; without -o the export goes to standard output")
    beside = f"{place}.{os.urandom(4).hex()}.part"
    try:
        descriptor = os.open(
            beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from None
    try:
        written = _fill(descriptor, content)
        _put_in_place(beside, place)
    except BaseException:
        os.unlink(beside)  # noqa: PTH108 - pathlib costs 9 ms
        raise
    return written


def _fill(descriptor: int, content: Iterator[str]) -> tuple[int, int]:
    """Write the lines so that they survive a power cut, and close; give how many, and their bytes."""
    count = 0
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        for line in content:
            file.write(f"{line}\n")
            count += 1
        file.flush()
        os.fsync(file.fileno())
        return count, os.fstat(file.fileno()).st_size


def _put_in_place(beside: str, output: str) -> None:
    try:
        os.replace(beside, output)  # noqa: PTH105 - pathlib costs 9 ms
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from None
