"""A model of a vendor, whichever API it speaks: writes the request, sends it, reads the stream."""

import os
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from typing import Final

import anyio.to_thread
import msgspec

from holdfast_daemon.models.base import (
    Message,
    ModelError,
    ModelOptions,
    StepCompleted,
    StepEvent,
    ToolSpec,
)
from holdfast_daemon.models.errors import Fault
from holdfast_daemon.models.exchange import Exchange, Limits, exchange
from holdfast_daemon.models.joined_deltas import joined
from holdfast_daemon.models.keys import complaint
from holdfast_daemon.models.pricing import price
from holdfast_daemon.models.retry import RetryPolicy, with_retries
from holdfast_daemon.models.sdk import Post, Sdks
from holdfast_daemon.models.sse import SseEvent
from holdfast_daemon.models.wire import Reader, Target, Wire
from holdfast_protocol.events import Cost, Usage
from holdfast_protocol.methods.catalogue import ModelInfo

_NO_KEY: Final = "none"
"""Sent to servers that want no key: the SDKs insist on one."""

_PAUSES_MAX: Final = 8
"""How often a response that pauses is let go on; one that pauses once more ends with that as its reason."""


class ProviderModel:
    """See the module.

    Args:
        info: how the catalogue lists it.
        target: the model and its provider.
        wire: the API it is spoken to by.
        sdks: who sends; shared, closed by its owner.
        key_of: gives an environment variable's value, or None; asked at each request, nothing is kept.
        limits: of one exchange.
        retries: before the first event of a response.
    """

    def __init__(
        self,
        info: ModelInfo,
        target: Target,
        wire: Wire,
        sdks: Sdks,
        *,
        key_of: Callable[[str], str | None] = os.environ.get,
        limits: Limits | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        self._info = info
        self._target = target
        self._wire = wire
        self._sdks = sdks
        self._key_of = key_of
        self._limits = limits or Limits()
        self._retries = retries or RetryPolicy()

    @property
    def info(self) -> ModelInfo:
        """How the catalogue lists it."""
        return self._info

    async def stream(
        self,
        messages: tuple[Message, ...],
        tools: tuple[ToolSpec, ...],
        system: str,
        options: ModelOptions,
    ) -> AsyncGenerator[StepEvent]:
        """Stream one response; see `Model.stream`.

        Raises:
            ModelError: kind one of `ModelErrorKind`.
        """
        # In a thread: a conversation with images may have many megabytes.
        write = self._wire.request
        body = await anyio.to_thread.run_sync(write, self._target, messages, tools, system, options)
        async with aclosing(with_retries(lambda: self._response(body), self._retries)) as events:
            async for event in events:
                yield event

    async def _response(self, body: bytes) -> AsyncGenerator[StepEvent]:
        """Stream a response, over as many requests as its provider wants to pause."""
        spent = _Spent()
        for pauses_left in reversed(range(_PAUSES_MAX + 1)):
            reader = self._wire.reader(self._target)
            following: bytes | None = None
            async with aclosing(self._request(body, reader, spent)) as events:
                async for event in events:
                    if not isinstance(event, StepCompleted):
                        yield event
                        continue
                    spent.add(event.usage, event.cost)
                    if event.stop_reason == "pause_turn" and pauses_left:
                        following = await anyio.to_thread.run_sync(reader.continued, body)
                    if following is None:
                        yield msgspec.structs.replace(event, usage=spent.usage, cost=spent.cost)
            if following is None:
                return
            body = following

    async def _request(self, body: bytes, reader: Reader, spent: "_Spent") -> AsyncGenerator[StepEvent]:
        provider = self._target.provider
        request_id: str | None = None
        failed: ModelError | None = None
        try:
            post = self._post(body)
            circuit = self._sdks.circuits.of(provider.name, provider.base_url, post.key)
            with circuit.request() as answered:
                sdk = await self._sdks.get(self._wire.sdk)
                async with exchange(sdk, post, self._limits) as response:
                    request_id = response.request_id
                    async with aclosing(self._read(response, reader)) as events:
                        async for event in events:
                            answered()
                            yield event
        except Fault as fault:
            if _said(reader.usage):
                spent.add(reader.usage, price(self._target, reader.usage, time.time()))
            failed = ModelError(fault.info(provider.name, self._key(), request_id), *spent.known)
        if failed is not None:
            raise failed  # Out here, so that no context leads from it to a request with its key.

    async def _read(self, response: Exchange, reader: Reader) -> AsyncGenerator[StepEvent]:
        async with aclosing(response.events()) as pieces:
            async for piece in pieces:
                for event in joined(_fed(reader, piece)):
                    yield self._priced(event)
                if reader.done:
                    await response.linger()
                    return
        for event in reader.finish():
            yield self._priced(event)

    def _post(self, body: bytes) -> Post:
        key = self._key()
        wrong = complaint(self._target.provider.key_variable or "", key)
        if wrong is not None:
            raise Fault("auth", wrong)
        return Post(
            base_url=self._target.provider.base_url,
            path=self._wire.path,
            key=key,
            headers=self._target.provider.headers,
            body=body,
        )

    def _key(self) -> str:
        """Read the key; nothing keeps it."""
        variable = self._target.provider.key_variable
        return _NO_KEY if variable is None else (self._key_of(variable) or "").strip()

    def _priced(self, event: StepEvent) -> StepEvent:
        if not isinstance(event, StepCompleted):
            return event
        cost = price(self._target, event.usage, time.time())
        return StepCompleted(stop_reason=event.stop_reason, usage=event.usage, cost=cost, detail=event.detail)


class _Spent:
    """What the requests of one response used."""

    def __init__(self) -> None:
        self._anything = False
        self.usage = Usage()
        self.cost: Cost | None = None

    def add(self, usage: Usage, cost: Cost | None) -> None:
        """Add what one request used; a model's prices are known for all of them or for none."""
        self._anything = True
        self.usage += usage
        if cost is not None:
            before = 0.0 if self.cost is None else self.cost.amount
            self.cost = Cost(amount=before + cost.amount, currency=cost.currency)

    @property
    def known(self) -> tuple[Usage | None, Cost | None]:
        """Usage and cost, if there is any."""
        return (self.usage, self.cost) if self._anything else (None, None)


def _said(usage: Usage) -> bool:
    """Whether there is anything in it."""
    return msgspec.structs.replace(usage, estimated=False) != Usage()


def _fed(reader: Reader, piece: Iterable[SseEvent]) -> Iterator[StepEvent]:
    for event in piece:
        yield from reader.feed(event)
        if reader.done:
            return
