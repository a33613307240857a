"""`holdfastd`, but its runs emit a load by themselves: what is measured begins at `emit`, without a model.

The prompt is the load as JSON: `{"count": …, "blocks": …, "per_second": … or null, "text": …}`. Deltas go to
several blocks in turn, so that none can be merged, in a burst every 10 ms if they are paced.
"""

import json
import time
from typing import Any

import anyio

from holdfast_daemon.models.base import UserMessage
from holdfast_daemon.sessions.driver import Driver
from holdfast_daemon.sessions.run_log import RunLog
from holdfast_daemon.start import main
from holdfast_protocol import events
from holdfast_protocol.content import TextBlock

_BURST_S = 0.01


async def emit(log: RunLog, load: dict[str, Any]) -> None:
    """Emit a load."""
    text, blocks = load["text"], [f"{log.run_id}-b{number}" for number in range(load["blocks"])]
    message = {"message_id": f"{log.run_id}-m1", "step": 1, "kind": "text"}
    for block in blocks:
        await log.emit(events.ContentBlockStart, block_id=block, **message)
    pace = _Pace(paced=load["per_second"] is not None)
    for burst in _bursts(load["count"], load["per_second"]):
        for number in burst:
            turn, place = divmod(number, len(blocks))
            await log.emit(events.TokenDelta, block_id=blocks[place], offset=turn * len(text), text=text)
        await pace.keep()
    for place, block in enumerate(blocks):
        turns = len(range(place, load["count"], len(blocks)))
        await log.emit(events.ContentBlockEnd, block_id=block, text=text * turns, **message)


def _bursts(count: int, per_second: int | None) -> list[range]:
    size = round(per_second * _BURST_S) if per_second else count
    return [range(first, min(first + size, count)) for first in range(0, count, size)]


class _Pace:
    def __init__(self, *, paced: bool) -> None:
        self._paced = paced
        self._next = time.monotonic()

    async def keep(self) -> None:
        """Wait for the next burst."""
        if self._paced:
            self._next += _BURST_S
            await anyio.sleep(max(0.0, self._next - time.monotonic()))


async def _run_agent(driver: Driver) -> None:
    (prompt,) = [message for message in driver.messages()[-1:] if isinstance(message, UserMessage)]
    (block,) = [block for block in prompt.content if isinstance(block, TextBlock)]
    await emit(driver._log, json.loads(block.text))  # noqa: SLF001 - in the agent's place


if __name__ == "__main__":
    Driver._run_agent = _run_agent  # noqa: SLF001 - as above
    main()
