"""Hooks for tests: each does one thing. The sync ones run in worker processes, which import this by name.

What a sync hook is to leave behind it writes into the directory named by the call's `cwd`.
"""

import contextlib
import os
import sys
import time
from pathlib import Path

import anyio
import anyio.lowlevel

not_a_function = 5


class Uncallable(Exception):
    """Cannot be made again from its arguments, as unpickling tries to."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


# Sync ---------------------------------------------------------------------------------------------------


def allows(_call):
    return {"decision": "allow"}


def says_nothing(_call):
    return None


def denies(call):
    return {"decision": "deny", "reason": f"no {call['tool']} in {call['mode']} mode"}


def rewrites(call):
    return {"decision": "modify", "input": {**call["input"], "rewritten": os.getpid()}}


def appends(call):
    return {"decision": "modify", "input": {"path": call["input"]["path"] + "x"}}


def crashes(_call):
    raise ValueError("the hook is broken")


def crashes_oddly(_call):
    raise Uncallable("one", "two")


def exits(_call):
    sys.exit(2)


def dies(_call):
    os._exit(0)


def hangs(call):
    (Path(call["cwd"]) / "pid").write_text(str(os.getpid()), encoding="utf-8")
    time.sleep(3600)


def prints(_call):
    print("to stdout")
    sys.stdout.flush()
    os.write(2, b"to stderr\n")


def notes(call):
    with (Path(call["cwd"]) / "seen").open("a", encoding="utf-8") as file:
        file.write(f"{call['event']} {call['toolCallId']}\n")


def cannot_be_sent(_call):
    return lambda: None


# Async --------------------------------------------------------------------------------------------------


async def allows_async(_call):
    await anyio.lowlevel.checkpoint()
    return {"decision": "allow"}


async def denies_async(_call):
    return {"decision": "deny"}


async def denies_at_length(_call):
    return {"decision": "deny", "reason": "no " * 10_000}


async def rewrites_async(_call):
    return {"decision": "modify", "input": {"path": "rewritten"}, "reason": "a better path"}


async def rewrites_result(_call):
    return {"decision": "modify", "result": [{"type": "text", "text": "withheld"}]}


async def crashes_async(_call):
    raise ValueError("the hook is broken")


async def times_out_by_itself(_call):
    raise TimeoutError("a server did not answer")


async def exits_async(_call):
    raise SystemExit(2)


async def hangs_async(_call):
    await anyio.sleep_forever()


async def hangs_and_then_allows(_call):
    with contextlib.suppress(anyio.get_cancelled_exc_class()):
        await anyio.sleep_forever()
    return {"decision": "allow"}


async def changes_in_place(call):
    call["input"]["path"] = "changed"
    call["tool"] = "shell"


async def no_json(_call):
    return {"decision": "modify", "input": {"path": object()}}


async def makes_large(call):
    return {"decision": "modify", "input": {"p": "x" * (call["size"] - len('{"p":""}'))}}


async def odd_reason(_call):
    return {"decision": "modify", "input": {"path": "x"}, "reason": ["one", 2]}


async def odd_denial(_call):
    return {"decision": "deny", "reason": 5}


# Answers that make no sense -------------------------------------------------------------------------------


async def says_yes(_call):
    return "allow"


async def says_true(_call):
    return True


async def unknown_decision(_call):
    return {"decision": "permit"}


async def no_decision(_call):
    return {"input": {"path": "x"}}


async def modifies_nothing(_call):
    return {"decision": "modify"}


async def modifies_the_wrong_thing(_call):
    return {"decision": "modify", "result": []}


async def list_answer(_call):
    return [{"decision": "allow"}]
