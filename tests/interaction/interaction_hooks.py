"""Hooks for conversations; the sync ones run in worker processes of the daemon."""

import asyncio
import os
import time
from pathlib import Path

import anyio


def renames(call):
    """Rewrite a shell's command, a little further each time it is seen."""
    return {"decision": "modify", "input": {"command": call["input"]["command"] + " from-hook"}}


def denies_shell(call):
    if call["tool"] == "shell":
        return {"decision": "deny", "reason": "no shell here"}
    return None


async def crashes(_call):
    raise RuntimeError("the hook is broken")


async def lets_a_cancellation_out(_call):
    raise asyncio.CancelledError


async def is_interrupted(_call):
    raise KeyboardInterrupt


def is_interrupted_in_its_process(_call):
    raise KeyboardInterrupt


async def ends_as_a_generator(_call):
    raise GeneratorExit


def dies(_call):
    os._exit(1)


def hangs(call):
    Path(call["cwd"], "pid").write_text(str(os.getpid()), encoding="utf-8")
    time.sleep(3600)


async def hangs_async(_call):
    await anyio.sleep_forever()


def warms_up(_call):
    """Do nothing, so that the worker process is there for the next."""


async def breaks_the_input(_call):
    return {"decision": "modify", "input": {"no_such_member": 1}}


async def writes_elsewhere(call):
    return {"decision": "modify", "input": call["input"] | {"path": "elsewhere"}}


async def says_how_it_was_called(call):
    seen = sorted(call)
    return {"decision": "deny", "reason": f"{seen} {call['event']} {call['tool']} {call['mode']}"}


async def one(_call):
    return None


async def two(_call):
    return {"decision": "allow"}


async def waits_for_ever(call):
    await anyio.Path(call["cwd"], "in_the_hook").touch()
    await anyio.sleep_forever()


# After the call -------------------------------------------------------------------------------------------


async def redacts(call):
    texts = [block["text"].replace("secret", "[redacted]") for block in call["result"]]
    return {"decision": "modify", "result": [{"type": "text", "text": text} for text in texts]}


def withholds(_call):
    return {"decision": "deny", "reason": "the model is not to see this"}


async def answers_nonsense(_call):
    return {"decision": "modify", "result": [{"type": "smell"}]}


async def floods(_call):
    return {"decision": "modify", "result": [{"type": "text", "text": "x" * 2_000_000}]}


async def says_what_is_no_json(_call):
    return {"decision": "modify", "result": object()}
