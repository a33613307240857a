"""A long conversation does not hold up the loop, on which everybody else's events wait.

Measured by the processor time of the loop's thread, which other processes do not change, and judged by what
writing the request takes: done on the loop, it would be in there whole.
"""

import gc
import time

import anyio
import pytest
from vendor_models import WIRES, completed, model_of, prompt, provider, step

from fakes.vendors.script import VENDORS, Reply, Vendor
from holdfast_daemon.models.base import (
    AssistantMessage,
    Message,
    ModelOptions,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolResultsMessage,
)
from holdfast_daemon.models.wire import Target
from holdfast_protocol.content import TextBlock

MESSAGES = 600
LINES = 'a line of some file, with a "quote" and an ümlaut\n' * 128
"""What a tool gave: some 6 KiB."""


def _turn(vendor: Vendor, number: int) -> tuple[Message, ...]:
    """Give a prompt, what is said and called, and the results."""
    name = f"fake-{vendor}"
    calls = [f"r{number}-m1-t{call}" for call in (1, 2)]
    thinking = {"type": "thinking", "thinking": LINES[:400], "signature": "c2ln" * 100}
    return (
        prompt(f"Please look at file {number}."),
        AssistantMessage(
            parts=(
                ThinkingPart(text=LINES[:400], provider=name, opaque=thinking),
                TextPart(text=f"I look at file {number}."),
                *(
                    ToolCallPart(
                        tool_call_id=call,
                        tool="read",
                        input_json=f'{{"path": "src/file {number}.py", "limit": 64}}',
                        provider=name,
                        opaque={"id": f"toolu_{call}"},
                    )
                    for call in calls
                ),
            )
        ),
        ToolResultsMessage(
            results=tuple(
                ToolResultPart(tool_call_id=call, tool="read", content=(TextBlock(text=LINES),))
                for call in calls
            )
        ),
    )


async def _longest_ms(stop: anyio.Event) -> float:
    """Give the longest the loop's thread worked between two of this task's turns."""
    longest, before = 0.0, time.thread_time()
    while not stop.is_set():
        await anyio.lowlevel.checkpoint()
        now = time.thread_time()
        longest, before = max(longest, now - before), now
    return longest * 1000


async def _stall_ms(vendor: Vendor, messages: tuple[Message, ...]) -> float:
    """Give the longest stall while a model answers them."""
    found: list[float] = []
    async with model_of(vendor, Reply()) as (model, _server):
        completed(await step(model))  # Loads the SDK.
        stop = anyio.Event()

        async def watch() -> None:
            found.append(await _longest_ms(stop))

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            await anyio.lowlevel.checkpoint()  # It watches from before the request is made.
            completed(await step(model, *messages))
            stop.set()
    return found[0]


def _writing_ms(vendor: Vendor, messages: tuple[Message, ...]) -> float:
    target = Target(provider=provider(vendor, "https://x"), id="m")
    before = time.thread_time()
    WIRES[vendor].request(target, messages, (), "", ModelOptions())
    return (time.thread_time() - before) * 1000


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_history_of_600_messages_is_not_written_on_the_loop(vendor: Vendor) -> None:
    turns = [_turn(vendor, number) for number in range(MESSAGES // 3)]
    messages = (*(message for turn in turns for message in turn), prompt("Go on."))
    gc.disable()
    try:
        writing = min(_writing_ms(vendor, messages) for _ in range(3))
        stall = min([await _stall_ms(vendor, messages) for _ in range(3)])
    finally:
        gc.enable()
    print(f"{vendor}: writing {writing:.1f} ms, longest stall {stall:.1f} ms")
    assert stall < writing / 2
