"""`initialize`: what an editor says about itself. The answer is made without these types (`greeting`)."""

from typing import Annotated

from holdfast_protocol.foreign.acp.base import OPTIONAL, Foreign, Marker, Members


class Implementation(Foreign, frozen=True, kw_only=True):
    """A program and its version."""

    name: str
    version: str
    title: Annotated[str | None, OPTIONAL] = None


class FileSystem(Foreign, frozen=True, kw_only=True):
    """Which files calls the editor serves."""

    read_text_file: Annotated[bool, OPTIONAL] = False
    write_text_file: Annotated[bool, OPTIONAL] = False


class ConfigOptions(Foreign, frozen=True, kw_only=True):
    """Which kinds of options the editor shows beside lists."""

    boolean: Annotated[Marker | None, OPTIONAL] = None


class ClientSession(Foreign, frozen=True, kw_only=True):
    """Which gated updates the editor takes."""

    compaction: Annotated[Members | None, OPTIONAL] = None
    config_options: Annotated[ConfigOptions | None, OPTIONAL] = None
    notices: Annotated[Members | None, OPTIONAL] = None


class Elicitation(Foreign, frozen=True, kw_only=True):
    """Which questions of tools the editor can put."""

    form: Annotated[Marker | None, OPTIONAL] = None
    url: Annotated[Marker | None, OPTIONAL] = None


class ClientAuth(Foreign, frozen=True, kw_only=True):
    """Whether the editor can run a login in a terminal."""

    terminal: Annotated[bool, OPTIONAL] = False


class ClientCapabilities(Foreign, frozen=True, kw_only=True):
    """What the editor can do; what is absent it cannot."""

    fs: Annotated[FileSystem, OPTIONAL] = FileSystem()
    terminal: Annotated[bool, OPTIONAL] = False
    session: Annotated[ClientSession | None, OPTIONAL] = None
    auth: Annotated[ClientAuth, OPTIONAL] = ClientAuth()
    elicitation: Annotated[Elicitation | None, OPTIONAL] = None


class InitializeRequest(Foreign, frozen=True, kw_only=True):
    """The first message."""

    protocol_version: int
    client_capabilities: Annotated[ClientCapabilities, OPTIONAL] = ClientCapabilities()
    client_info: Annotated[Implementation | None, OPTIONAL] = None


class AuthenticateRequest(Foreign, frozen=True, kw_only=True):
    """How to log in."""

    method_id: str
