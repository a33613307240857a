"""Has a model sum up a conversation: as the run asks it, so that what its provider has cached is found again.

One that does not fit the model's window is summed up part by part, each with the summary of what came before.
"""

from contextlib import aclosing
from typing import Final, NamedTuple

import msgspec

from holdfast_daemon.models.base import (
    BlockDelta,
    BlockEnded,
    BlockStarted,
    Model,
    ModelError,
    ModelOptions,
    RetryScheduled,
    StepCompleted,
    ToolSpec,
    UserMessage,
)
from holdfast_daemon.models.sizes import CHARACTERS_A_TOKEN, characters_of, prefix_characters
from holdfast_daemon.sessions.conversation_parts import Messages, first_part
from holdfast_daemon.sessions.history import SUMMED_UP
from holdfast_protocol.content import TextBlock
from holdfast_protocol.events import Cost, ErrorInfo, Usage

REQUESTS_MAX: Final = 8
"""For one summary."""

_ASK: Final = (
    "The conversation is about to leave your window. Write what you need to go on without it: the task in "
    "the user's words, what was decided, what was done, which files and commands matter, what is still open. "
    "Be exact with names and numbers. Write nothing else, and call no tool."
)
_SYSTEM: Final = "You sum up a conversation between a user and an agent, for the agent."
_CHARACTERS_MAX: Final = 64 * 1024  # Of a summary.
_RESERVE_TOKENS_MAX: Final = 8192  # For a summary, in a window.
_TOO_LONG: Final = frozenset(("context_too_long", "too_large"))


class Around(NamedTuple):
    """What is around the conversation in the run's own requests; an empty system prompt is not known."""

    system: str
    tools: tuple[ToolSpec, ...]
    options: ModelOptions


class SummingUp:
    """One summary.

    Args:
        model: whose window is nearly full.
        around: of the run's requests.

    Attributes:
        usage: of all that was asked so far.
        cost: of that; None where it is not known.
    """

    def __init__(self, model: Model, around: Around) -> None:
        self.usage = Usage()
        self.cost: Cost | None = None
        self._model = model
        self._window = model.info.context_tokens or 0
        self._system = around.system or _SYSTEM
        self._tools = around.tools
        self._options = msgspec.structs.replace(around.options, tool_choice="none")
        self._characters_max = min(_CHARACTERS_MAX, self._window)  # A quarter of the window, or less.

    async def summary(self, messages: Messages, tokens: int) -> str:
        """Sum up.

        Args:
            messages: the conversation.
            tokens: how many it was last said to be, with all that is around it.

        Raises:
            ModelError: the model cannot.
        """
        room = self._room(messages, tokens)
        text, rest = "", messages
        for left in reversed(range(REQUESTS_MAX)):
            before = _told(text)
            part, following = first_part(rest, room - characters_of(before), max(1, left // 2))
            try:
                text = await self._ask((*before, *part), whole=part is messages)
            except ModelError as error:
                if error.info.kind not in _TOO_LONG or not left:
                    raise
                room = min(room, characters_of(part)) // 2
                continue
            if not following:
                return text
            rest = following
        raise _failure("it is too long, even in parts.")

    def _room(self, messages: Messages, tokens: int) -> int:
        """Give how many characters of the conversation are shown at once."""
        length = characters_of(messages)
        limit = self._window - min(self._window // 8, _RESERVE_TOKENS_MAX)
        if tokens <= limit:
            return length
        around = prefix_characters(self._tools, self._system) + len(_ASK)
        characters_a_token = min(CHARACTERS_A_TOKEN, max(1.0, (length + around) / tokens))
        return max(self._window, int(limit * characters_a_token) - around)

    async def _ask(self, messages: Messages, *, whole: bool) -> str:
        """Ask for a summary; a conversation that is not as it was has no thinking to go with it.

        Raises:
            ModelError: there is none.
        """
        options = self._options if whole else msgspec.structs.replace(self._options, thinking="off")
        asked = (*messages, UserMessage(content=(TextBlock(text=_ASK),)))
        try:
            text = await self._text(asked, options)
        except ModelError as error:
            self._add(error.usage, error.cost)
            raise
        if not text.strip():
            raise _failure("it wrote nothing.")
        return text[: self._characters_max]

    async def _text(self, messages: Messages, options: ModelOptions) -> str:
        """Give the texts of a response; a call it makes although it must not is no text."""
        texts: list[str] = []
        shown: set[int] = set()
        stream = self._model.stream(messages, self._tools, self._system, options)
        async with aclosing(stream) as events:
            async for event in events:
                match event:
                    case BlockStarted(kind="text"):
                        shown.add(event.index)
                    case BlockDelta() if event.index in shown:
                        texts.append(event.text)
                    case BlockEnded():
                        shown.discard(event.index)
                    case StepCompleted() | RetryScheduled():
                        self._add(event.usage, event.cost)
                    case _:
                        pass
        return "".join(texts)

    def _add(self, usage: Usage | None, cost: Cost | None) -> None:
        if usage is not None:
            self.usage += usage
        if cost is not None:
            before = self.cost.amount if self.cost is not None else 0.0
            self.cost = Cost(amount=before + cost.amount, currency=cost.currency)


def _told(summary: str) -> Messages:
    """Give the summary of the parts before, as the model is shown it."""
    return (UserMessage(content=(TextBlock(text=f"{SUMMED_UP}\n\n{summary}"),)),) if summary else ()


def _failure(message: str) -> ModelError:
    return ModelError(ErrorInfo(kind="compaction_failed", message=message))
