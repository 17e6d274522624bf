"""Whether a file lies on another machine, where SQLite's locks cannot be relied on."""

import os
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")  # of Linux; elsewhere nothing is known
NETWORK = frozenset({
    "nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "ncpfs", "9p",
    "virtiofs", "vboxsf", "prl_fs", "ceph", "lustre", "gpfs", "beegfs", "fhgfs", "pvfs2", "ocfs2",
    "gfs2", "glusterfs", "orangefs", "panfs", "wekafs", "davfs",
})  # fmt: skip
# Of what FUSE mounts, by the part of the kind behind "fuse.".
LOCAL_FUSE = frozenset({"ntfs", "ntfs-3g", "exfat", "ext2", "fuseblk", "lxcfs", "fuse-overlayfs",
                        "mergerfs", "bindfs", "gocryptfs", "encfs", "portal"})  # fmt: skip


def network_file_system(path: Path) -> str | None:
    """Return the kind of network file system that a file lies on, such as "nfs4"; None for none.

    Args:
        path: of a file that need not exist.
    """
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    kind = kind_of(Path(os.path.realpath(path)), mounts)
    if kind in NETWORK:
        return kind
    fuse, _, name = kind.partition(".")
    return kind if fuse == "fuse" and name and name not in LOCAL_FUSE else None


def kind_of(path: Path, mounts: str) -> str:
    """Return the kind of file system of a path; empty where it is not known.

    Args:
        path: absolute.
        mounts: content of `MOUNTS`, see proc_pid_mountinfo(5).
    """
    found, depth = "", -1
    for line in mounts.splitlines():
        before, separator, after = line.partition(" - ")
        words = before.split(" ")
        if not separator or len(words) < 5:
            continue
        place = Path(_unescaped(words[4]))
        # Of several on one place the last one covers the others.
        if path.is_relative_to(place) and len(place.parts) >= depth:
            found, depth = after.split(" ")[0], len(place.parts)
    return found


def _unescaped(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
