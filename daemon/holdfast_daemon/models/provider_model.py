"""A model of a vendor, whichever API it speaks: writes the request, sends it, reads the stream."""

import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

import anyio.to_thread

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
from holdfast_daemon.models.pricing import price
from holdfast_daemon.models.retry import RetryPolicy, with_retries
from holdfast_daemon.models.sdk import Post, Sdks
from holdfast_daemon.models.wire import Target, Wire
from holdfast_protocol.methods.catalogue import ModelInfo

_NO_KEY: Final = "none"
"""Sent to servers that want no key: the SDKs insist on one."""


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
        async with aclosing(with_retries(lambda: self._attempt(body), self._retries)) as events:
            async for event in events:
                yield event

    async def _attempt(self, body: bytes) -> AsyncGenerator[StepEvent]:
        request_id: str | None = None
        failed: ModelError | None = None
        try:
            sdk = await self._sdks.get(self._wire.sdk)
            async with exchange(sdk, self._post(body), self._limits) as response:
                request_id = response.request_id
                async with aclosing(self._read(response)) as events:
                    async for event in events:
                        yield event
        except Fault as fault:
            failed = fault.model_error(self._target.provider.name, self._key(), request_id)
        if failed is not None:
            raise failed  # Out here, so that no context leads from it to a request with its key.

    async def _read(self, response: Exchange) -> AsyncGenerator[StepEvent]:
        reader = self._wire.reader(self._target)
        async with aclosing(response.events()) as pieces:
            async for piece in pieces:
                for sse_event in piece:
                    for event in reader.feed(sse_event):
                        yield self._priced(event)
                    if reader.done:
                        await response.linger()
                        return
        for event in reader.finish():
            yield self._priced(event)

    def _post(self, body: bytes) -> Post:
        key = self._key()
        if not key:
            raise Fault("auth", f"{self._target.provider.key_variable} is not set.")
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise Fault("auth", f"{self._target.provider.key_variable} has characters that no key has.")
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
