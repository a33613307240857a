"""The models the daemon knows, by name. Each is made when a session first asks for it.

Adapters bring heavy libraries in, so an entry holds how to make a model, not the model.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from holdfast_daemon.models import offline
from holdfast_daemon.models.base import Model
from holdfast_protocol.methods.catalogue import ModelInfo


class CatalogueEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be had.

    Attributes:
        info: how it is listed, known without making it.
        make: makes it; called at most once; imports what it needs.
    """

    info: ModelInfo
    make: Callable[[], Model]


BUILT_IN: Final = (CatalogueEntry(info=offline.INFO, make=offline.OfflineModel),)


class Catalogue:
    """Gives models by name.

    Args:
        default: the name of the model a session gets that names none.
        entries: each name once, in the order they are listed.

    Raises:
        ValueError: there is no model of that name, or two of one name.
    """

    def __init__(self, default: str = offline.NAME, entries: tuple[CatalogueEntry, ...] = BUILT_IN) -> None:
        self._entries: Mapping[str, CatalogueEntry] = {entry.info.name: entry for entry in entries}
        self._made: dict[str, Model] = {}  # Models asked for so far; they hold no session's state.
        if len(self._entries) != len(entries):
            raise ValueError("two models have one name")
        if default not in self._entries:
            raise ValueError(f"there is no model {default}; there are: {', '.join(self._entries)}")
        self.default = default

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """All models, as they are listed."""
        return tuple(entry.info for entry in self._entries.values())

    def get(self, name: str) -> Model | None:
        """Give the model of that name, or None."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        if name not in self._made:
            self._made[name] = entry.make()
        return self._made[name]
