"""The model `offline/rehearsal`: deterministic, not an AI, needs no key and no network.

Drives the real loop with real tool calls, from plain requests or from scripts (docs/offline.md). Holds no
state: its place in a script is the number of responses since the prompt. The same conversation gives the same
step events.
"""

from collections.abc import AsyncGenerator
from typing import Final

import anyio
import anyio.lowlevel
import anyio.to_thread

from holdfast_daemon.models.base import (
    AssistantMessage,
    Message,
    ModelError,
    ModelOptions,
    StepEvent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultsMessage,
    ToolSpec,
    UserMessage,
)
from holdfast_daemon.models.offline_info import INFO, PROVIDER
from holdfast_daemon.models.offline_playback import Forever, Pace, Pause, Playback
from holdfast_daemon.models.offline_requests import NOT_AN_AI, prompt_text, respond
from holdfast_daemon.models.offline_script import is_script, parse_script
from holdfast_daemon.models.offline_steps import BadScript, Step, Text
from holdfast_protocol.content import plain_text
from holdfast_protocol.events import ErrorInfo
from holdfast_protocol.methods.catalogue import ModelInfo

_UNSUSPENDED_MAX: Final = 64
"""After so many events without a wait other tasks get their turn, and a cancellation is heard."""

_MESSAGE_CHARS_MAX: Final = 500

_SCRIPT_ENDED: Final = f"{NOT_AN_AI} The script has no more steps."


class OfflineModel:
    """See the module."""

    @property
    def info(self) -> ModelInfo:
        """How the catalogue lists it."""
        return INFO

    async def stream(
        self,
        messages: tuple[Message, ...],
        tools: tuple[ToolSpec, ...],
        system: str,
        options: ModelOptions,
    ) -> AsyncGenerator[StepEvent]:
        """Stream one response; see `Model.stream`.

        Raises:
            ModelError: kind `bad_script`, `protocol`, or what the script says.
        """
        # It thinks when it is told to.
        step = await _next_step(messages, () if options.tool_choice == "none" else tools)
        clock = _Clock()
        unsuspended = 0
        for item in Playback(step, _chars(messages) + len(system)).items():
            if isinstance(item, Pause | Pace | Forever):
                await clock.wait(item)
                unsuspended = 0
                continue
            yield item
            unsuspended += 1
            if unsuspended == _UNSUSPENDED_MAX:
                await anyio.lowlevel.checkpoint()
                unsuspended = 0


class _Clock:
    """Does the waits of one step."""

    def __init__(self) -> None:
        self._started_at = 0.0  # When the last `Pace` of 0 came, on the loop's clock.

    async def wait(self, item: Pause | Pace | Forever) -> None:
        match item:
            case Pause():
                await anyio.sleep(item.seconds)
            case Pace():
                now = anyio.current_time()
                if item.elapsed_s == 0:
                    self._started_at = now
                # A stream that fell behind catches up: later bursts do not wait.
                await anyio.sleep(max(0.0, self._started_at + item.elapsed_s - now))
            case Forever():
                await anyio.sleep_forever()


async def _next_step(messages: tuple[Message, ...], tools: tuple[ToolSpec, ...]) -> Step:
    """Find out what comes next: the latest prompt decides, and how often it was answered."""
    latest = next((at for at in range(len(messages) - 1, -1, -1) if _is_prompt(messages[at])), None)
    if latest is None:
        return respond(messages, tools)
    prompt = messages[latest]
    assert isinstance(prompt, UserMessage)
    text = prompt_text(prompt)
    if not is_script(text):
        return respond(messages, tools)
    try:
        steps = await anyio.to_thread.run_sync(parse_script, text)
    except BadScript as error:
        message = f"bad script: {str(error)[:_MESSAGE_CHARS_MAX]}"
        raise ModelError(ErrorInfo(kind="bad_script", message=message, provider=PROVIDER)) from error
    place = sum(isinstance(message, AssistantMessage) for message in messages[latest + 1 :])
    return steps[place] if place < len(steps) else (Text(value=_SCRIPT_ENDED),)


def _is_prompt(message: Message) -> bool:
    return isinstance(message, UserMessage)


def _chars(messages: tuple[Message, ...]) -> int:
    return sum(_message_chars(message) for message in messages)


def _message_chars(message: Message) -> int:
    match message:
        case UserMessage():
            return len(plain_text(message.content))
        case AssistantMessage():
            return sum(_part_chars(part) for part in message.parts)
        case ToolResultsMessage():
            return sum(len(plain_text(result.content)) for result in message.results)


def _part_chars(part: TextPart | ThinkingPart | ToolCallPart) -> int:
    match part:
        case ToolCallPart():
            return len(part.input_json)
        case TextPart() | ThinkingPart():
            return len(part.text)
