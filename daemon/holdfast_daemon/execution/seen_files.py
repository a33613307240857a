"""What one session's tools last saw of each file, to tell that it has changed since.

Knows only names and marks. Belongs to the session; only the loop's thread touches it. Kept in memory alone:
after the session was unloaded, nothing counts as seen.
"""

import os


class SeenFiles:
    """The marks of the files seen last, by absolute path.

    Args:
        files_max: beyond it the file seen longest ago is forgotten.
    """

    def __init__(self, files_max: int) -> None:
        self._files_max = files_max
        self._marks: dict[str, str] = {}  # In the order in which they were seen.

    def __len__(self) -> int:
        return len(self._marks)

    def get(self, path: str) -> str | None:
        """Give the mark a file had when it was seen last; None if it was not, or is forgotten."""
        return self._marks.get(path)

    def note(self, path: str, mark: str) -> None:
        """Keep the mark of a file that was just read or written."""
        self._marks.pop(path, None)
        self._marks[path] = mark
        if len(self._marks) > self._files_max:
            del self._marks[next(iter(self._marks))]


def mark_of(found: os.stat_result) -> str:
    """Give what changes whenever a file is changed or replaced, as far as the file system tells."""
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"
