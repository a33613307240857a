"""The discovery record: there or not, ours or forged, alive or stale."""

import fcntl
import os
from typing import Any, Final

from holdfast_client.shell import endpoint
from holdfast_client.shell.diagnosis.check import Check, Finding, Scene
from holdfast_client.shell.exit_codes import NotRunning, Unreachable
from holdfast_protocol.discovery import PROTOCOL_MAJOR


def _record(scene: Scene) -> Finding:
    path = scene.locations.record
    try:
        record = endpoint.read_record(path)
        inode = os.lstat(path).st_ino
    except (NotRunning, FileNotFoundError):
        return Finding("ok", "no discovery record: no daemon has left one")
    except Unreachable as refused:
        fix = f"find out who made {path}, then remove it"
        return Finding("failed", refused.message, (), fix)
    stray = _stray(record, scene)
    if stray:
        return Finding("failed", stray, (path,), f"find out who made {path}, then remove it")
    if scene.is_quiet and _somebody_listens(scene):
        summary = f"forged: who listens where it points ({record['unix']}) is no daemon"
        return Finding("failed", summary, (path,), f"find out who that is, then remove {path}")
    if scene.is_quiet:
        fix = f"rm {path}; or leave it: the next daemon replaces it"
        return Finding(
            "warning", "stale: nobody answers where it points", (path,), fix, lambda: _remove(scene, inode)
        )
    return Finding("ok", f"{path}, written by daemon {record.get('pid')}")


def _stray(record: dict[str, Any], scene: Scene) -> str:
    """Say why a daemon of this user would not have written this record; nothing if it would."""
    locations = scene.locations
    if record.get("protocol") != "holdfast" or record.get("major") != PROTOCOL_MAJOR:
        return "forged: it names another protocol"
    if record.get("unix") not in (locations.socket, None):
        return f"forged: it points to {record['unix']}, outside of the runtime directory"
    if record.get("state") != locations.state:
        return f"it belongs to a daemon with another state directory, {record.get('state')}"
    return ""


def _somebody_listens(scene: Scene) -> bool:
    try:
        endpoint.dial(scene.locations)[0].close()
    except (NotRunning, Unreachable):
        return False
    return True


def _remove(scene: Scene, inode: int) -> str:
    """Remove the record that was looked at, while no daemon can be writing another."""
    lock = os.open(
        f"{scene.locations.runtime}/daemon-v{PROTOCOL_MAJOR}.lock",
        os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC,
        0o600,
    )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # Raises OSError while a daemon is there after all.
        if os.lstat(scene.locations.record).st_ino != inode:
            return "it has been replaced meanwhile; left alone"
        os.unlink(scene.locations.record)  # noqa: PTH108 - paths are strings here
    finally:
        os.close(lock)
    return f"removed {scene.locations.record}"


CHECKS: Final = (Check("record", "Daemon", _record),)
