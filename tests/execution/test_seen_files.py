"""What was seen of files, and the marks that tell one state of a file from another."""

import os
from pathlib import Path

from holdfast_daemon.execution.seen_files import SeenFiles, mark_of


def test_the_last_mark_of_a_file_is_the_one_that_counts() -> None:
    seen = SeenFiles(files_max=2)
    assert seen.get("/a") is None
    seen.note("/a", "1")
    seen.note("/a", "2")
    assert seen.get("/a") == "2"
    assert len(seen) == 1


def test_so_many_files_are_kept_and_then_the_one_seen_longest_ago_goes() -> None:
    seen = SeenFiles(files_max=2)
    for path in ("/a", "/b", "/a", "/c"):
        seen.note(path, "1")
    assert [seen.get(path) for path in ("/a", "/b", "/c")] == ["1", None, "1"]


def test_every_change_of_a_file_gives_it_another_mark(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    marks = [mark_of(path.stat())]
    assert mark_of(path.stat()) == marks[0]
    path.write_text("other")
    marks.append(mark_of(path.stat()))
    kept = path.stat()
    (tmp_path / "new").write_text("again")  # As long, and said to be as old.
    os.utime(tmp_path / "new", ns=(kept.st_atime_ns, kept.st_mtime_ns))
    (tmp_path / "new").rename(path)
    marks.append(mark_of(path.stat()))
    assert len(set(marks)) == 3
