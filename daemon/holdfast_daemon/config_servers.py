"""From `[[mcp_servers]]` of the configuration to what a client would ask for."""

from collections.abc import Iterable

from holdfast_daemon.config import McpServerSetting
from holdfast_protocol.methods.extension import HttpServer, McpServerSpec, StdioServer


def mcp_server_of(setting: McpServerSetting) -> McpServerSpec:
    """Give the server a setting means.

    Raises:
        ValueError: it is neither a program nor an address, or both; or a pair is none.
    """
    if (setting.command is None) == (setting.url is None):
        raise ValueError(f"{setting.name}: give either command or url")
    if setting.command is not None:
        if setting.headers:
            raise ValueError(f"{setting.name}: headers are for a url")
        env = _pairs(setting.name, setting.env, "=", "NAME=VALUE")
        return StdioServer(name=setting.name, command=setting.command, args=setting.args, env=env)
    if setting.args or setting.env:
        raise ValueError(f"{setting.name}: args and env are for a command")
    assert setting.url is not None
    if not setting.url.startswith(("http://", "https://")):
        raise ValueError(f"{setting.name}: url is http or https")
    headers = _pairs(setting.name, setting.headers, ":", "Name: value")
    return HttpServer(name=setting.name, url=setting.url, headers=headers)


def _pairs(server: str, items: Iterable[str], separator: str, form: str) -> dict[str, str]:
    pairs = [item.partition(separator) for item in items]
    if not all(name.strip() and found for name, found, _ in pairs):
        raise ValueError(f"{server}: each is {form}")  # Not what was given: it may be a secret.
    return {name.strip(): value.strip() for name, _, value in pairs}
