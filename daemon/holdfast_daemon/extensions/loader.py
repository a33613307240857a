"""Finds plugins in their folders and reads them; never raises, whatever a folder holds. Blocks.

    <config>/plugins/NAME/plugin.yaml              the user's, for every session
    <project>/.holdfast/plugins/NAME/plugin.yaml   the project's, once its directory is trusted

Nothing of a plugin runs here.
"""

import os
import stat
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from holdfast_daemon.config import BaseUrls
from holdfast_daemon.extensions.manifest import (
    MANIFEST_BYTES_MAX,
    MANIFEST_NAME,
    Manifest,
    ModelEntry,
    Problem,
    PromptEntry,
)
from holdfast_daemon.extensions.manifest_reader import BadManifest, read_manifest
from holdfast_daemon.extensions.markdown_command import BODY_BYTES_MAX, MarkdownCommand, parse_markdown

PLUGINS_MAX: Final = 64
"""Folders looked at in one place."""

Scope = Literal["user", "project"]


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that is, or should be, a plugin.

    Attributes:
        name: its manifest's; the folder's if that cannot be read.
        folder: absolute.
        manifest: None if it did not load; then all of it is off.
        prompts: its slash commands, read.
        problems: why it did not load.
    """

    name: str
    scope: Scope
    folder: str
    manifest: Manifest | None = None
    prompts: tuple[MarkdownCommand, ...] = ()
    problems: tuple[Problem, ...] = ()


def load_plugins(place: Path, scope: Scope) -> tuple[Plugin, ...]:
    """Give the plugins below a folder, in the order of the folders' names.

    Args:
        place: `<config>/plugins` or `<project>/.holdfast/plugins`; need not exist.
        scope: whose they are.
    """
    try:
        names = sorted(
            entry.name for entry in os.scandir(place) if entry.is_dir() and entry.name[0] not in "._"
        )
    except FileNotFoundError:
        return ()
    except OSError as error:
        return (_broken(place, scope, str(place), f"cannot be read: {error.strerror}"),)
    plugins: list[Plugin] = []
    taken: dict[str, str] = {}
    for name in names[:PLUGINS_MAX]:
        plugin = load_plugin(place / name, scope)
        if plugin.manifest is not None and plugin.name in taken:
            message = f"the name `{plugin.name}` is taken by {taken[plugin.name]}"
            plugin = _broken(place / name, scope, _file(place / name), message, "name")
        elif plugin.manifest is not None:
            taken[plugin.name] = plugin.folder
        plugins.append(plugin)
    if len(names) > PLUGINS_MAX:
        plugins.append(
            _broken(place, scope, str(place), f"holds more than {PLUGINS_MAX} plugins; the rest is off")
        )
    return tuple(plugins)


def load_plugin(folder: Path, scope: Scope) -> Plugin:
    """Give what is in one folder.

    A project's is no symlink: where that leads, a command of the session may change meanwhile.
    """
    file = _file(folder)
    if scope == "project" and folder.is_symlink():
        return _broken(folder, scope, file, "its folder is a symlink")
    try:
        manifest = read_manifest(read_text(folder / MANIFEST_NAME, MANIFEST_BYTES_MAX), file)
        prompts = tuple(_prompt(folder, entry, at) for at, entry in enumerate(manifest.prompts))
        _check_models(manifest, scope, file)
    except BadManifest as error:
        return Plugin(name=folder.name, scope=scope, folder=str(folder), problems=error.problems)
    except Unreadable as error:
        return _broken(folder, scope, file, str(error))
    return Plugin(name=manifest.name, scope=scope, folder=str(folder), manifest=manifest, prompts=prompts)


class Unreadable(Exception):
    """A file is not there, no file, too large or not UTF-8; the message says which."""


def read_text(path: Path, bytes_max: int) -> str:
    """Read a text file that may be anything: a device, a FIFO, endless.

    Raises:
        Unreadable: it is not a text of at most `bytes_max` bytes.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Unreadable("is no file")
            data = file.read(bytes_max + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from error
    if len(data) > bytes_max:
        raise Unreadable(f"is larger than {bytes_max} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"is not UTF-8 (byte {error.start})") from error


def _prompt(folder: Path, entry: PromptEntry, at: int) -> MarkdownCommand:
    try:
        text = read_text(_below(folder, entry.file), BODY_BYTES_MAX)
    except Unreadable as error:
        message = f"{entry.file[:256]} {error}"
        problem = Problem(file=_file(folder), line=entry.line, field=f"prompts[{at}].file", message=message)
        raise BadManifest([problem]) from error
    command = parse_markdown(entry.name, text)
    return msgspec.structs.replace(command, description=entry.description or command.description)


def _below(folder: Path, name: str) -> Path:
    path = Path(os.path.realpath(folder / name))
    if not path.is_relative_to(os.path.realpath(folder)):
        raise Unreadable("is outside the plugin's folder")
    return path


_PROVIDERS: Final = BaseUrls.__struct_fields__
_WITH_APIS_OF_THEIR_OWN: Final = ("anthropic", "openai")
_LOOPBACK: Final = frozenset(("127.0.0.1", "::1", "localhost"))
_NOT_IN_A_PROJECT: Final = (
    "a project's plugin cannot say where a key goes; put the plugin into your configuration"
)


def _check_models(manifest: Manifest, scope: Scope, file: str) -> None:
    """Refuse what must not be said of where keys go, and which; of a project anything, trusted or not."""
    problems = [
        Problem(file=file, line=entry.line, field=f"models[{at}].{key}", message=message)
        for at, entry in enumerate(manifest.models)
        for key, message in (_of_a_project(entry) if scope == "project" else _elsewhere(manifest.name, entry))
    ]
    if problems:
        raise BadManifest(problems)


def _of_a_project(entry: ModelEntry) -> list[tuple[str, str]]:
    keys = ("base_url", "api_key_env")
    return [(key, _NOT_IN_A_PROJECT) for key in keys if getattr(entry, key) is not None]


def _elsewhere(plugin: str, entry: ModelEntry) -> list[tuple[str, str]]:
    """Judge an address: no key but the one named for it goes there, and it passes for no provider's."""
    url = entry.base_url
    if url is None:
        return []
    if entry.provider in _WITH_APIS_OF_THEIR_OWN:
        setting = f"base_urls.{entry.provider}"
        return [("base_url", f"is your setting `{setting}` to say; `openai_compat` is for other servers")]
    if plugin in _PROVIDERS:
        return [("base_url", f"the plugin needs another name: its model would pass for one of `{plugin}`")]
    if entry.api_key_env is None and urlsplit(url).hostname not in _LOOPBACK:
        return [("base_url", "say with `api_key_env` which key is sent there; it gets no other")]
    return []


def _file(folder: Path) -> str:
    return str(folder / MANIFEST_NAME)


def _broken(folder: Path, scope: Scope, file: str, message: str, field: str = "") -> Plugin:
    problem = Problem(file=file, message=message, field=field)
    return Plugin(name=folder.name, scope=scope, folder=str(folder), problems=(problem,))
