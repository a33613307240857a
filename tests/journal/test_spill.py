"""Event bodies in files named by their hash."""

import os
from pathlib import Path

import pytest

from holdfast_daemon.journal.spill import Spill


@pytest.fixture
def spill(tmp_path: Path) -> Spill:
    return Spill(tmp_path / "spill")


def test_a_marker_leads_to_the_body(spill: Spill) -> None:
    digest, marker = spill.put(b'{"seq":1}')
    assert digest.encode() in marker
    assert spill.resolve(marker) == b'{"seq":1}'


def test_what_is_no_marker_is_the_body_itself(spill: Spill) -> None:
    for body in (b'{"seq":1}', b"", b'{"spilled": "x"}'):
        assert spill.resolve(body) == body


def test_equal_bodies_are_one_file_written_once(spill: Spill, tmp_path: Path) -> None:
    first = spill.put(b"body")
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    before = file.stat()
    assert spill.put(b"body") == first
    after = file.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_part_left_by_a_crash_is_written_anew(spill: Spill, tmp_path: Path) -> None:
    digest, marker = spill.put(b"whole")
    spill.remove(digest)
    (tmp_path / "spill" / digest[:2] / f"{digest}.part").write_bytes(b"who")
    assert spill.put(b"whole") == (digest, marker)
    assert spill.resolve(marker) == b"whole"


def test_a_body_and_the_way_to_it_are_synced_before_its_row(
    spill: Spill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut after the row's commit must find the file: it, and each directory made for it."""
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    digest, _ = spill.put(b"body")
    folder = tmp_path / "spill" / digest[:2]
    assert synced[0] == f"{folder / digest}.part"
    assert set(synced[1:]) == {str(folder), str(folder.parent), str(tmp_path)}


def test_a_removed_body_is_gone_and_removing_it_again_is_no_error(spill: Spill) -> None:
    digest, marker = spill.put(b"body")
    spill.remove(digest)
    spill.remove(digest)
    with pytest.raises(FileNotFoundError):
        spill.resolve(marker)
