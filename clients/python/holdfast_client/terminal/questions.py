"""Requests to people that wait for this person, and which key gives which answer. Knows no terminal.

One question is in front at a time; the others wait behind it. A key is typed into the input line, and is an
answer once it has stood there alone for `HOLD_S`, or at once with Enter: who begins to type a message allows
nothing by its first letter. Keys count only once they are *armed*: not for a moment after a question came up
while somebody was typing, and not before it was shown what the question is about.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import anyio

from holdfast_client.aio import Answer, Ask
from holdfast_client.shell import inquiry
from holdfast_client.shell.plain import one_line
from holdfast_protocol.events import RequestOpened, RequestOption
from holdfast_protocol.methods.request import Scope

TYPING_S: Final = 0.6
"""Who pressed a key so recently is typing: the keys of a question that comes up now are armed later."""

HOLD_S: Final = 0.3
"""How long a key stands alone before it is an answer: longer than from one letter to the next."""

CHOICES_MAX: Final = 9
LABEL_CHARS_MAX: Final = 200

_PERMISSION_KEYS: Final[dict[str, tuple[str, str, Scope]]] = {
    "allow_once": ("y", "allow", "once"),
    "allow_session": ("s", "allow", "session"),
    "allow_always": ("a", "allow", "always"),
    "deny": ("n", "deny", "once"),
}

_TAKES_WORDS: Final = frozenset({"deny", "keep_planning"})
"""Answers after which the model wants to know more."""

_ACCEPTS: Final = "accept"
"""Of a form: what it is filled in with goes with it."""


class Choice(NamedTuple):
    """One answer.

    Attributes:
        key: what to press.
        words: whether words go with it; they may be empty.
    """

    key: str
    label: str
    outcome: str
    scope: Scope
    words: bool


def choices_of(request: RequestOpened) -> tuple[Choice, ...]:
    """Give the answers a request offers, each with a key of its own."""
    made: list[Choice] = []
    for option in request.options:
        choice = _choice(option, str(len(made) + 1), fills_in=request.kind == "form")
        if choice is not None and len(made) < CHOICES_MAX:
            made.append(choice)
    return tuple(made)


def _choice(option: RequestOption, number: str, *, fills_in: bool) -> Choice | None:
    label = one_line(option.label, LABEL_CHARS_MAX)
    if option.kind == "choice":
        words = option.id in _TAKES_WORDS or (fills_in and option.id == _ACCEPTS)
        return Choice(number, label, option.id, "once", words)
    key, outcome, scope = _PERMISSION_KEYS[option.kind]
    return Choice(key, label, outcome, scope, outcome in _TAKES_WORDS)


class Question:
    """One request, from its opening to an answer from anywhere.

    Attributes:
        armed_at: from when on its keys count, in seconds of the loop's clock.
        chosen: an answer whose words are being typed.
    """

    def __init__(self, ask: Ask, armed_at: float) -> None:
        self.session_id = ask.session_id
        self.request = ask.request
        self.choices = choices_of(ask.request)
        self.armed_at = armed_at
        self.chosen: Choice | None = None
        self.answer: Answer | None = None
        self.answered = anyio.Event()

    @property
    def wants_words(self) -> bool:
        """Whether the input line is for words of an answer."""
        return self.chosen is not None

    def give(self, answer: Answer) -> None:
        """Answer it."""
        if self.answer is None:
            self.answer = answer
            self.answered.set()


class Questions:
    """The open requests, the one in front first. One owner.

    Args:
        clock: seconds of the loop's clock.

    Attributes:
        on_open: called with each session id and request that comes up. Must not raise and not wait.
        on_misfit: called with the reason why words do not fill a form in; it can be tried again. Likewise.
        is_shown: whether a person has been shown what a request is about.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.on_open: Callable[[str, RequestOpened], None] = lambda _session_id, _request: None
        self.on_misfit: Callable[[str], None] = lambda _reason: None
        self.is_shown: Callable[[Question], bool] = lambda _question: True
        self._open: list[Question] = []
        self._typed_at = float("-inf")
        self._alone: tuple[str, float] | None = None  # A key that may become an answer, and since when.

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Question]:
        return iter(tuple(self._open))

    @property
    def front(self) -> Question | None:
        """The question that is asked now."""
        return self._open[0] if self._open else None

    @property
    def is_armed(self) -> bool:
        """Whether its keys count."""
        front = self.front
        if front is None or front.wants_words or not self.is_shown(front):
            return False
        return self._clock() >= front.armed_at

    @property
    def wants_words(self) -> bool:
        """Whether what is typed is part of an answer."""
        front = self.front
        return front is not None and front.wants_words

    def offers(self, text: str) -> bool:
        """Whether a text is a key of the question in front."""
        front = self.front
        if front is None or front.wants_words or not self.is_shown(front):
            return False
        return any(choice.key == text for choice in front.choices)

    def typed(self, text: str) -> None:
        """The input line is another. Call `settle` now and then."""
        now = self._clock()
        self._alone = (text, now) if self.is_armed and self.offers(text) else None
        self._typed_at = now

    def settle(self) -> str | None:
        """Give the key that has stood alone for long enough, once."""
        if self._alone is None or self._clock() < self._alone[1] + HOLD_S:
            return None
        (key, _), self._alone = self._alone, None
        return key

    def sent(self) -> None:
        """A line was sent: the person is not in the middle of something."""
        self._typed_at = float("-inf")

    async def ask(self, ask: Ask) -> Answer:
        """Wait for this person's answer. Cancelled when somebody else gives one first."""
        question = Question(ask, self._typed_at + TYPING_S)
        self._open.append(question)
        self.on_open(ask.session_id, ask.request)
        try:
            await question.answered.wait()
        finally:
            self._open.remove(question)
            self._rearm()
        assert question.answer is not None
        return question.answer

    def press(self, key: str) -> None:
        """Answer with a key that `offers` knows."""
        if not self.offers(key):
            return
        question = self._open[0]
        for choice in question.choices:
            if choice.key == key:
                self._choose(question, choice)

    def say(self, words: str) -> None:
        """Give the words that were asked for."""
        question = self.front
        if question is None or question.chosen is None:
            return
        chosen = question.chosen
        if question.request.kind == "form":
            self._fill_in(question, chosen, words)
        else:
            question.give(Answer(outcome=chosen.outcome, scope=chosen.scope, message=words.strip() or None))

    def _fill_in(self, question: Question, chosen: Choice, words: str) -> None:
        try:
            values = inquiry.values(question.request.detail, words)
        except inquiry.Misfit as misfit:
            self.on_misfit(str(misfit))
        else:
            question.give(Answer(outcome=chosen.outcome, values=values))

    def back(self) -> bool:
        """Take a choice back while its words are being typed; tell whether there was one."""
        question = self.front
        if question is None or question.chosen is None:
            return False
        question.chosen = None
        return True

    def _choose(self, question: Question, choice: Choice) -> None:
        self._typed_at = self._clock()  # The same key pressed twice does not answer the next question.
        if choice.words:
            question.chosen = choice
        else:
            question.give(Answer(outcome=choice.outcome, scope=choice.scope))

    def _rearm(self) -> None:
        if self._open:
            self._open[0].armed_at = max(self._open[0].armed_at, self._typed_at + TYPING_S)
