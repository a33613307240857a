"""The models the daemon knows, by name. Each is made when a session first asks for it.

Adapters bring heavy libraries in, so an entry holds how to make a model, not the model; and what the
providers have is asked for only when somebody names one of their models or wants the list.
"""

import math
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import anyio
import anyio.to_thread
import msgspec

from holdfast_daemon.models import offline_info
from holdfast_daemon.models.base import Model
from holdfast_protocol.methods.catalogue import ModelInfo

AUTO: Final = "auto"
"""A default that is chosen: the first model of a provider that can be used, else the offline one."""


REFRESH_S: Final = 30.0
"""What was looked for is not looked for again so soon."""


class CatalogueEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be had.

    Attributes:
        info: how it is listed, known without making it.
        make: makes it; called at most once; imports what it needs.
    """

    info: ModelInfo
    make: Callable[[], Model]


def _offline() -> Model:
    from holdfast_daemon.models.offline import OfflineModel  # noqa: PLC0415 - on first use

    return OfflineModel()


BUILT_IN: Final = (CatalogueEntry(info=offline_info.INFO, make=_offline),)


class ModelSource(Protocol):
    """Where models come from that are not built in."""

    def entries(self) -> Iterable[CatalogueEntry]:
        """Give those that can be used, the most wanted first. May block; asked once, and after `forget`."""
        ...

    def named(self, name: str) -> CatalogueEntry | None:
        """Give a model that is not among the entries, by its name; None where nobody has such names."""
        ...

    async def detect(self) -> Iterable[CatalogueEntry]:
        """Look for models that come and go, as those of servers on this machine. Never raises; bounded."""
        ...


class NoSource:
    """No models but those that are built in. Implements `ModelSource`."""

    def entries(self) -> Iterable[CatalogueEntry]:
        """See `ModelSource.entries`."""
        return ()

    def named(self, name: str) -> CatalogueEntry | None:
        """See `ModelSource.named`."""
        del name

    async def detect(self) -> Iterable[CatalogueEntry]:
        """See `ModelSource.detect`."""
        return ()


class Catalogue:
    """Gives models by name.

    Args:
        default: the name of the model a session gets that names none; `auto` for one that can be used.
        entries: those built in, each name once, in the order they are listed.
        source: asked for the rest.

    Raises:
        ValueError: there is no model of that name, or two of one name.
    """

    def __init__(
        self,
        default: str = offline_info.NAME,
        entries: tuple[CatalogueEntry, ...] = BUILT_IN,
        source: ModelSource | None = None,
    ) -> None:
        self._built_in = {entry.info.name: entry for entry in entries}
        self._source = source or NoSource()
        self._sourced: dict[str, CatalogueEntry] | None = None  # None: not asked for yet.
        self._made: dict[str, Model] = {}  # Models asked for so far; they hold no session's state.
        self._default = default
        self._refreshing = anyio.Lock()
        self._refreshed = -math.inf
        if len(self._built_in) != len(entries):
            raise ValueError("two models have one name")
        if default != AUTO and source is None and default not in self._built_in:
            raise ValueError(f"there is no model {default}; there are: {', '.join(self._built_in)}")

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """All models, as they are listed: the built-in ones last."""
        return tuple(entry.info for entry in (*self._others().values(), *self._built_in.values()))

    @property
    def default(self) -> str:
        """The name of the model a session gets that names none."""
        return self._default if self._default != AUTO else self.models[0].name

    async def ready(self) -> None:
        """Ask the source what there is, if it was not asked: without this the first look at it may block."""
        if self._sourced is None:
            found = await anyio.to_thread.run_sync(lambda: tuple(self._source.entries()))
            self._sourced = self._sourced or {entry.info.name: entry for entry in found}

    def forget(self) -> None:
        """Ask the source again: what people declared may have changed."""
        self._sourced = None
        self._made.clear()
        self._refreshed = -math.inf

    async def refresh(self) -> None:
        """Look for models that come and go, if that is some time ago."""
        await self.ready()
        async with self._refreshing:
            if time.monotonic() - self._refreshed > REFRESH_S:
                self.add(await self._source.detect())
                self._refreshed = time.monotonic()

    async def choose(self) -> str:
        """Give the default; where no provider can be used, look for servers on this machine first."""
        await self.ready()
        if self._default == AUTO and not self._others():
            await self.refresh()
        return self.default

    def get(self, name: str) -> Model | None:
        """Give the model of that name, or None."""
        if name not in self._made:
            entry = self._entry(name)
            if entry is None:
                return None
            self._made[name] = entry.make()
        return self._made[name]

    def add(self, entries: Iterable[CatalogueEntry]) -> None:
        """List models found later, behind those of the source; a name that is there stays as it is."""
        others = self._others()
        for entry in entries:
            others.setdefault(entry.info.name, entry)

    def _others(self) -> dict[str, CatalogueEntry]:
        if self._sourced is None:
            self._sourced = {entry.info.name: entry for entry in self._source.entries()}
        return self._sourced

    def _entry(self, name: str) -> CatalogueEntry | None:
        """Look a name up; the source is asked only for what is not built in."""
        return self._built_in.get(name) or self._others().get(name) or self._source.named(name)
