"""The vendors' own helpers, as a program would use them: `python -m benchmarks.streaming_sdks PORT`.

Each event a helper gives is looked at and goes nowhere.
"""

import asyncio
import gc
import sys
import time
import warnings
from typing import Any

import anthropic
import openai

from benchmarks.streaming_ask import KEY, Ask, answer, asks


async def _messages(client: anthropic.AsyncAnthropic, ask: Ask) -> int:
    async with client.messages.stream(model="m", max_tokens=9, messages=_prompt(ask)) as stream:
        return sum([event.type == "text" async for event in stream])


async def _responses(client: openai.AsyncOpenAI, ask: Ask) -> int:
    async with client.responses.stream(model="m", input=_prompt(ask)) as stream:
        return sum([event.type == "response.output_text.delta" async for event in stream])


async def _chat(client: openai.AsyncOpenAI, ask: Ask) -> int:
    async with client.chat.completions.stream(model="m", messages=_prompt(ask)) as stream:
        return sum([event.type == "content.delta" async for event in stream])


def _prompt(ask: Ask) -> list[Any]:
    return [{"role": "user", "content": ask.prompt}]


async def main(port: int) -> None:
    """Stream what is asked for."""
    url = f"http://127.0.0.1:{port}"
    async with (
        anthropic.AsyncAnthropic(api_key=KEY, base_url=url) as of_anthropic,
        openai.AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1") as of_openai,
    ):
        gc.freeze()  # As the daemon does: what was imported is no garbage.
        print("ready", flush=True)
        for ask in asks():
            before = time.process_time_ns()
            if ask.wire == "messages":
                deltas = await _messages(of_anthropic, ask)
            else:
                deltas = await {"responses": _responses, "chat": _chat}[ask.wire](of_openai, ask)
            taken = time.process_time_ns() - before
            if deltas < ask.count:
                raise RuntimeError(f"{ask.wire}: {deltas} of {ask.count} deltas came.")
            answer(taken)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    asyncio.run(main(int(sys.argv[1])))
