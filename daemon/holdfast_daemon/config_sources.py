"""From file, environment and flags to the daemon's `Config`, or to one line that says what is wrong.

The rules are the protocol's (`holdfast_protocol.settings`); this module reads the file, and adds what only
the daemon can know: which models, agents and hook functions there are.
"""

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from holdfast_daemon.agents.catalogue import builtin_agents
from holdfast_daemon.config import Config
from holdfast_daemon.config_keys import config_of
from holdfast_daemon.config_servers import mcp_server_of
from holdfast_daemon.execution.hooks import Hooks
from holdfast_daemon.models.catalogue import AUTO, BUILT_IN
from holdfast_daemon.models.provider_source import ProviderSource
from holdfast_daemon.net.upgrade import check_origin
from holdfast_protocol.settings.resolve import BadSettings, File, Flag, Problem, Setting, meant, resolve
from holdfast_protocol.settings.trusted import FILE_BYTES_MAX, trusted


def load(
    path: Path | None,
    environ: Mapping[str, str],
    flags: Sequence[Flag],
    *,
    must_exist: bool,
    state_dir: str,
    runtime_dir: str | None,
    stdio: bool,
) -> Config:
    """Give the daemon's settings.

    Args:
        path: the configuration file; None reads none.
        environ: variables that set something.
        flags: the command line's.
        must_exist: a file that is not there is an error.
        state_dir: as in `Config`; likewise the rest.
        runtime_dir: as in `Config`.
        stdio: as in `Config`.

    Raises:
        BadSettings: a setting cannot be used.
        OSError: the file is there, but cannot be read.
    """
    settings = resolve(_read(path, must_exist=must_exist) if path else None, environ, flags)
    config = config_of(settings, state_dir=state_dir, runtime_dir=runtime_dir, stdio=stdio)
    problems = list(_unavailable(config, settings))
    if problems:
        raise BadSettings(problems)
    return config


def _read(path: Path, *, must_exist: bool) -> File | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # A FIFO must not hold us up.
    except (FileNotFoundError, NotADirectoryError):
        if must_exist:
            raise BadSettings([Problem(str(path), "", "there is no such file")]) from None
        return None
    try:
        status = os.fstat(descriptor)
        content = b""
        while stat.S_ISREG(status.st_mode) and (
            chunk := os.read(descriptor, FILE_BYTES_MAX + 1 - len(content))
        ):
            content += chunk
    finally:
        os.close(descriptor)
    return trusted(str(path), content, status.st_mode, status.st_uid, os.getuid())


def _unavailable(config: Config, settings: Mapping[str, Setting]) -> Iterator[Problem]:
    """Yield a problem for every setting that names what there is not."""
    agents = builtin_agents()
    yield from _unavailable_model(config, settings)
    if config.default_agent not in agents:
        yield _problem(
            settings["daemon.default_agent"], f"no such agent{meant(config.default_agent, agents)}"
        )
    for origin in config.ws_origins:
        if complaint := _complaint(lambda origin=origin: check_origin(origin)):
            yield _problem(settings["listen.ws_origins"], complaint)
    for server in config.mcp_servers:
        if complaint := _complaint(lambda server=server: mcp_server_of(server)):
            yield _problem(settings["mcp_servers"], complaint)
    if config.hooks and (complaint := _complaint(lambda: Hooks(config.hooks))):
        yield _problem(settings["hooks"], complaint)


def _unavailable_model(config: Config, settings: Mapping[str, Setting]) -> Iterator[Problem]:
    """Look at the default model and at where providers are; imports them only if a setting is about them."""
    urls = config.base_urls.given()
    own = [AUTO, *(entry.info.name for entry in BUILT_IN)]
    if not urls and config.default_model in own:
        return
    from holdfast_daemon.models.providers import KNOWN_MODELS, checked_base_url  # noqa: PLC0415 - see above

    for provider, url in urls.items():
        if complaint := _complaint(lambda url=url: checked_base_url(url)):
            yield _problem(settings[f"base_urls.{provider}"], complaint)
    source = ProviderSource({}, {})
    if config.default_model not in own and source.named(config.default_model) is None:
        known = [f"{model.target.provider.name}/{model.target.id}" for model in KNOWN_MODELS]
        meant_model = meant(config.default_model, [*own, *known])
        yield _problem(settings["daemon.default_model"], f"no such model{meant_model}")


def _problem(setting: Setting, message: str) -> Problem:
    name = setting.key.name
    return Problem(setting.origin.place or name, name, f"{name}: {message}")


def _complaint(attempt: Callable[[], object]) -> str:
    """Give what a check that raises ValueError says; nothing if it passes."""
    try:
        attempt()
    except ValueError as error:
        return str(error)
    return ""
