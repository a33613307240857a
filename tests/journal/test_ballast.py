"""Disk space in reserve."""

import stat
from pathlib import Path

from holdfast_daemon.journal.ballast import Ballast


def test_it_takes_real_space_and_gives_it_back(tmp_path: Path) -> None:
    path = tmp_path / "ballast"
    ballast = Ballast(path, 1 << 20)
    ballast.restore()
    assert path.stat().st_size == 1 << 20
    assert path.stat().st_blocks * 512 >= 1 << 20
    ballast.free()
    assert list(tmp_path.iterdir()) == []


def test_making_it_twice_and_freeing_it_twice_is_no_error(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", 1000)
    ballast.free()
    ballast.restore()
    ballast.restore()
    ballast.free()
    ballast.free()
    assert list(tmp_path.iterdir()) == []


def test_a_ballast_of_no_bytes_is_no_file(tmp_path: Path) -> None:
    Ballast(tmp_path / "ballast", 0).restore()
    assert list(tmp_path.iterdir()) == []


def test_without_room_for_twice_as_much_there_is_none(tmp_path: Path) -> None:
    Ballast(tmp_path / "ballast", 1 << 60).restore()
    assert list(tmp_path.iterdir()) == []


def test_it_is_private_and_a_part_left_by_a_crash_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "ballast.part").write_bytes(b"half")
    Ballast(tmp_path / "ballast", 5000).restore()
    assert [path.name for path in tmp_path.iterdir()] == ["ballast"]
    assert (tmp_path / "ballast").stat().st_size == 5000
    assert stat.S_IMODE((tmp_path / "ballast").stat().st_mode) == 0o600


def test_where_it_cannot_be_made_or_freed_nothing_is_raised(tmp_path: Path) -> None:
    (tmp_path / "ballast" / "in the way").mkdir(parents=True)
    in_the_way = Ballast(tmp_path / "ballast", 1000)
    in_the_way.free()
    in_the_way.restore()
    assert (tmp_path / "ballast" / "in the way").is_dir()
    gone = Ballast(tmp_path / "no such directory" / "ballast", 1000)
    gone.restore()
    gone.free()
    assert not (tmp_path / "no such directory").exists()
