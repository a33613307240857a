"""The offline model under another name, which keeps what it was asked."""

from functools import partial

from holdfast_daemon.models.catalogue import BUILT_IN, Catalogue, CatalogueEntry
from holdfast_daemon.models.offline import OfflineModel
from holdfast_daemon.models.offline_info import INFO
from holdfast_protocol.content import plain_text
from holdfast_protocol.methods.catalogue import ModelInfo

NAME = "offline/recorder"


class Recorder(OfflineModel):
    """Answers as the offline model does.

    Attributes:
        asked: the conversation of each request, as pairs of who and what.
        tools: the names of the tools of each request.
    """

    def __init__(self) -> None:
        self.asked: list[list[tuple[str, str]]] = []
        self.tools: list[list[str]] = []

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(name=NAME, provider=INFO.provider, description="Keeps what it was asked.")

    def stream(self, messages, tools, system, options):
        self.asked.append([_in_short(message) for message in messages])
        self.tools.append([tool.name for tool in tools])
        return super().stream(messages, tools, system, options)

    def install(self, monkeypatch) -> None:
        """Let daemons that are made from now on know it."""
        entry = CatalogueEntry(info=self.info, make=lambda: self)
        monkeypatch.setattr("holdfast_daemon.app.Catalogue", partial(Catalogue, entries=(*BUILT_IN, entry)))


def _in_short(message) -> tuple[str, str]:
    match type(message).__name__:
        case "UserMessage":
            return "user", plain_text(message.content)
        case "AssistantMessage":
            return "model", " ".join(type(part).__name__.removesuffix("Part") for part in message.parts)
        case _:
            return "tools", " ".join(plain_text(result.content) for result in message.results)
