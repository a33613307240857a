"""The daemon: whether it answers, is of our version and has our settings; its lock, log and leftovers."""

import os
import stat
from typing import Final

from holdfast_client.shell import figures
from holdfast_client.shell.diagnosis import processes
from holdfast_client.shell.diagnosis.check import Check, Daemon, Finding, Scene, contents
from holdfast_client.shell.exit_codes import NotRunning
from holdfast_protocol.settings.key import shown
from holdfast_protocol.version import VERSION

_SQLITE_MAGIC: Final = "SQLite format 3\x00"

_RESTART: Final = "`holdfast stop`; the next command starts it anew"


def _answers(scene: Scene) -> Finding:
    match scene.daemon:
        case Daemon(server, _, status):
            up = figures.duration(status["uptimeMs"])
            details = (f"instance {server['instanceId']}", *status["endpoints"])
            return Finding("ok", f"pid {server['pid']} answers, {status['state']}, up {up}", details)
        case NotRunning():
            return Finding("ok", "no daemon runs; the first command that needs one starts it")
        case failure:
            return Finding("failed", failure.message, (), f"look into {scene.locations.log}")


def _version(scene: Scene) -> Finding:
    if not isinstance(scene.daemon, Daemon):
        return Finding("ok", "no daemon to compare with")
    theirs = scene.daemon.server["version"]
    if theirs != VERSION:
        return Finding("warning", f"the daemon is {theirs}, this command is {VERSION}", (), _RESTART)
    return Finding("ok", f"command and daemon are both {VERSION}")


def _in_force(scene: Scene) -> Finding:
    """What the daemon says of its limits, against what one started now would have."""
    if not isinstance(scene.daemon, Daemon) or isinstance(scene.settings, tuple):
        return Finding("ok", "nothing to compare")
    told = scene.daemon.limits
    differing = [
        f"{setting.key.name} is {shown(told[name])} in the daemon, {shown(setting.value)} here"
        for setting in scene.settings.values()
        if (name := _camel_case(setting.key.bare)) in told and told[name] != setting.value
    ]
    if differing:
        return Finding("warning", f"started with other settings: {differing[0]}", tuple(differing), _RESTART)
    return Finding("ok", "its limits are those of the settings here")


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _lock(scene: Scene) -> Finding:
    path = f"{scene.locations.state}/daemon.lock"
    holder = processes.lock_holder(path)
    if holder is None:
        return Finding("ok", "nobody is seen to hold the log")
    if isinstance(scene.daemon, Daemon):
        return Finding("ok", "the daemon that answers holds the log")
    who = f"process {holder}" if holder else "some process"
    fix = "if it is neither starting nor stopping, it hangs: end it, the log survives that"
    return Finding("failed", f"{who} holds the log, and does not answer", (path,), fix)


def _journal(scene: Scene) -> Finding:
    if isinstance(scene.daemon, Daemon):
        journal = scene.daemon.status["journal"]
        halted = journal["halted"]
        details = (f"SQLite {journal['sqlite']}", f"{journal['committed']} events since the start")
        if halted:
            return Finding("failed", f"{halted} sessions cannot be written", details, "make room on the disk")
        return Finding("ok", f"SQLite {journal['sqlite']}, every session can be written", details)
    beginning = contents(f"{scene.locations.state}/journal.db")
    if beginning is None:
        return Finding("ok", "there is no log yet")
    if not beginning.startswith(_SQLITE_MAGIC):
        path = f"{scene.locations.state}/journal.db"
        return Finding("failed", f"{path} is no database", (), "restore it from a backup, or move it away")
    return Finding("ok", "the log is a database; the daemon checks it when it starts")


def _leftovers(scene: Scene) -> Finding:
    """A socket nobody listens on, and sidecars whose parents have gone."""
    orphans = processes.orphaned_sidecars()
    if orphans:
        numbers = " ".join(map(str, orphans))
        summary = f"{len(orphans)} sidecar daemons have lost the program that started them"
        return Finding("warning", summary, (f"processes {numbers}",), f"end them: kill {numbers}")
    if scene.is_quiet and _is_socket(scene.locations.socket):
        summary = "a socket is left on which nobody listens; the next daemon replaces it"
        return Finding("ok", summary, (scene.locations.socket,))
    return Finding("ok", "no process or socket is left behind")


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False


CHECKS: Final = (
    Check("daemon", "Daemon", _answers),
    Check("daemonVersion", "Daemon", _version),
    Check("daemonSettings", "Daemon", _in_force),
    Check("lock", "Daemon", _lock),
    Check("journal", "Daemon", _journal),
    Check("leftovers", "Daemon", _leftovers),
)
