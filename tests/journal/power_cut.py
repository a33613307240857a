"""A disk that loses what was not synced when the power fails.

While recording, every write, truncation, sync and deletion SQLite asks for is noted. A cut after any of them
leaves each file with all that was synced, and any subset of the rest, the last write perhaps torn.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import apsw

_SECTOR_BYTES = 512
"""What a disk writes whole: a torn write ends at a multiple of this."""


class Operation(NamedTuple):
    """One thing asked of the disk."""

    kind: str
    file: str
    offset: int = 0
    data: bytes = b""


class RecordedDisk:
    """What was asked, in order."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def files_after_cut(self, at: int, chance: Random) -> dict[str, bytes]:
        """Give the files as they may be found if the power fails after `at` operations."""
        disk: dict[str, _File] = {}
        for operation in self.operations[:at]:
            file = disk.setdefault(operation.file, _File())
            if operation.kind == "sync":
                file.sync()
            elif operation.kind == "delete":
                del disk[operation.file]
            else:
                file.unsynced.append(operation)
        return {name: file.found(chance) for name, file in disk.items()}


class _File:
    """One file: what is safe, and what is on its way."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.unsynced: list[Operation] = []

    def sync(self) -> None:
        for operation in self.unsynced:
            self._apply(operation)
        self.unsynced.clear()

    def found(self, chance: Random) -> bytes:
        survival = chance.choice([0.0, 0.2, 0.5, 0.8, 1.0])
        for operation in self.unsynced:
            if chance.random() < survival:
                self._apply(_torn(operation, chance) if chance.random() < 0.1 else operation)
        return bytes(self.content)

    def _apply(self, operation: Operation) -> None:
        if operation.kind == "truncate":
            del self.content[operation.offset :]
            return
        missing = operation.offset + len(operation.data) - len(self.content)
        self.content.extend(bytes(max(0, missing)))
        self.content[operation.offset : operation.offset + len(operation.data)] = operation.data


def _torn(operation: Operation, chance: Random) -> Operation:
    whole = len(operation.data) // _SECTOR_BYTES
    return operation._replace(data=operation.data[: chance.randint(0, whole) * _SECTOR_BYTES])


@contextmanager
def recording() -> Iterator[RecordedDisk]:
    """Note what every database opened meanwhile asks of the disk."""
    disk = RecordedDisk()
    vfs = _RecordingVFS(disk)
    try:
        yield disk
    finally:
        vfs.unregister()


class _RecordingVFS(apsw.VFS):
    def __init__(self, disk: RecordedDisk) -> None:
        super().__init__("recorded", "unix", makedefault=True)
        self._disk = disk

    def xOpen(self, name: Any, flags: Any) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        return _RecordedFile(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's name
        super().xDelete(filename, syncdir)
        self._disk.operations.append(Operation("delete", Path(filename).name))


class _RecordedFile(apsw.VFSFile):
    def __init__(self, disk: RecordedDisk, name: Any, flags: Any) -> None:
        super().__init__("unix", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._operations = disk.operations
        self._name = Path(path).name if path else "temporary"

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        super().xWrite(data, offset)
        self._operations.append(Operation("write", self._name, offset, bytes(data)))

    def xTruncate(self, size: int) -> None:  # noqa: N802 - SQLite's name
        super().xTruncate(size)
        self._operations.append(Operation("truncate", self._name, size))

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        super().xSync(flags)
        self._operations.append(Operation("sync", self._name))
