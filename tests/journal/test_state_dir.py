"""The state directory: private, local, held by one daemon at a time."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast_daemon.journal import state_dir
from holdfast_daemon.journal.state_dir import StateDir, StateDirError, StateInUse, check_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_private_and_locked(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    with StateDir(path) as state:
        assert state.path == path
        assert mode(path) == 0o700
        assert mode(path / "daemon.lock") == 0o600
        assert (path / "daemon.lock").read_text() == f"{os.getpid()}\n"


def test_a_second_daemon_is_refused_and_told_the_pid_of_the_first(tmp_path: Path) -> None:
    with StateDir(tmp_path), pytest.raises(StateInUse, match=rf"pid {os.getpid()}\b"), StateDir(tmp_path):
        pass


def test_a_refused_daemon_leaves_the_lock_to_the_first(tmp_path: Path) -> None:
    with StateDir(tmp_path):
        for _ in range(2):
            with pytest.raises(StateInUse), StateDir(tmp_path):
                pass
    with StateDir(tmp_path):
        pass


def test_another_process_is_refused_too_and_told_the_pid(tmp_path: Path) -> None:
    source = (
        "import sys; from pathlib import Path; from holdfast_daemon.journal.state_dir import StateDir\n"
        "with StateDir(Path(sys.argv[1])): pass"
    )
    with StateDir(tmp_path):
        done = subprocess.run(
            [sys.executable, "-c", source, str(tmp_path)], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert f"(pid {os.getpid()})" in done.stderr


def test_a_lock_file_of_a_process_that_is_gone_is_no_hindrance(tmp_path: Path) -> None:
    """Whose pid it names, and whether that runs something else by now, does not matter."""
    for text in ("1\n", "999999999\n", "", "no number", "\xff" * 100):
        (tmp_path / "daemon.lock").write_bytes(text.encode("latin-1"))
        with StateDir(tmp_path):
            assert (tmp_path / "daemon.lock").read_text() == f"{os.getpid()}\n"


def test_a_held_lock_without_a_pid_is_still_a_lock(tmp_path: Path) -> None:
    with StateDir(tmp_path):
        (tmp_path / "daemon.lock").write_bytes(b"")
        with pytest.raises(StateInUse, match="pid unknown"), StateDir(tmp_path):
            pass


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "daemon.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateDirError), StateDir(tmp_path):
        pass
    assert (tmp_path / "elsewhere").read_bytes() == b""


def test_a_directory_others_may_enter_is_tightened(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with StateDir(tmp_path):
        assert mode(tmp_path) == 0o700


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name in ("file", "link", "file/below"):
        with pytest.raises(StateDirError), StateDir(tmp_path / name):
            pass


@pytest.mark.skipif(os.getuid() != 0, reason="needs a directory of somebody else")
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    os.chown(other, 12345, 12345)
    with pytest.raises(StateDirError, match="not a directory of this user"):
        check_private(other)


def test_a_directory_on_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file system of the test's own directory stands for one."""
    kind = state_dir._file_system(tmp_path)
    assert kind
    monkeypatch.setattr(state_dir, "_NETWORK_FILE_SYSTEMS", frozenset({kind}))
    with pytest.raises(StateDirError, match=f"network file system .{kind}."), StateDir(tmp_path / "state"):
        pass
    assert not (tmp_path / "state" / "daemon.lock").exists()


MOUNTS = """\
/dev/root / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb /home/local ext4 rw 0 0
//nas/a /mnt/two\\040words cifs rw 0 0
//nas/b /mnt/gr\u00fcn smb3 rw 0 0
sshfs#x /mnt/tab\\011s fuse.sshfs rw 0 0
/dev/loop /over squashfs ro 0 0
tmpfs /over tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/homely", "ext4"),
        ("/home", "nfs4"),
        ("/home/me/.local/state", "nfs4"),
        ("/home/local/state", "ext4"),
        ("/mnt/two words/state", "cifs"),
        ("/mnt/two", "ext4"),
        ("/mnt/gr\u00fcn/state", "smb3"),
        ("/mnt/tab\ts", "fuse.sshfs"),
        ("/over/state", "tmpfs"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert state_dir.file_system_of(path, MOUNTS) == kind


def test_no_mount_is_no_file_system() -> None:
    assert state_dir.file_system_of("/home", "") == ""
