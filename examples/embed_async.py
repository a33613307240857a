"""Embed holdfast in an async program: a private daemon, a tool of the program itself, answers to requests.

python examples/embed_async.py DIRECTORY "PROMPT"
"""

import sys

import anyio

import holdfast_client
from holdfast_client.aio import Ask
from holdfast_protocol import events


def answer(ask: Ask) -> str:
    """Decide about a request; this program allows what reads, and what it hosts itself."""
    allowed = ask.request.title.startswith(("read", "list", "word_count"))
    return "allow" if allowed else "deny"


async def word_count(text: str) -> int:
    """Count the words of a text."""
    return len(text.split())


async def main(directory: str, prompt: str) -> None:
    """Run one prompt and print what happens, then what it came to."""
    async with holdfast_client.connect("spawn", require="holdfast>=0.1,<0.2", answer=answer) as client:
        session = await client.create_session(directory)
        await session.host_tools({"word_count": word_count})
        texts: set[str] = set()  # Blocks that are text; others are thoughts and the tools' input.
        async with session.stream(prompt) as run:
            async for event in run:
                match event:
                    case events.ContentBlockStart(kind="text"):
                        texts.add(event.block_id)
                    case events.TokenDelta() if event.block_id in texts:
                        print(event.text, end="", flush=True)
                    case events.ToolCallCompleted():
                        print("tool:", event.result[0])
                    case events.ToolCallFailed():
                        print("tool failed:", event.error.message)
                    case _:
                        pass
            result = await run.result()
        print(f"\n{result.status}: {len(result.events)} events, {result.usage}")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2])
