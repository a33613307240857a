"""Which file system a path is on, by what the kernel lists, and on which ones locks do not hold.

The daemon refuses to keep its log there, and `holdfast doctor` says so before.
"""

import re
from typing import Final

NETWORK_FILE_SYSTEMS: Final = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "glusterfs",
        "lustre",
        "fuse.sshfs",
        "fuse.s3fs",
    }
)

_OCTAL: Final = re.compile(r"\\([0-7]{3})")  # How the kernel writes a space in a path, for example.


def file_system_of(path: str, mounts: str) -> str:
    """Name the file system a resolved path is on; empty if it is on none.

    Args:
        path: absolute, without links.
        mounts: lines as in /proc/self/mounts.
    """
    best, kind = "", ""
    for line in filter(None, mounts.split("\n")):
        _, escaped, mounted_kind, *_ = line.split(" ")
        point = _OCTAL.sub(lambda found: chr(int(found[1], 8)), escaped)
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, mounted_kind
    return kind
