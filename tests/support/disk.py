"""A small disk for one folder, which can be filled and made read-only."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

FILLER = "filler"


class Disk:
    """A tmpfs mounted on a folder; only root may mount.

    Args:
        folder: made where there is none.
        kilobytes: size.
    """

    def __init__(self, folder: Path, kilobytes: int = 16 * 1024) -> None:
        """Mount it, or skip the test."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        words = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
        try:
            subprocess.run(words, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("no small disk can be mounted here (root on Linux can)")

    def fill(self) -> None:
        """Leave no byte free."""
        with (self.folder / FILLER).open("ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free(self) -> None:
        """Free the space again."""
        (self.folder / FILLER).unlink(missing_ok=True)

    def set_writable(self, yes: bool) -> None:
        """Mount it again, read-only or writable."""
        mode = "rw" if yes else "ro"
        subprocess.run(["mount", "-o", f"remount,{mode}", str(self.folder)], check=True)

    def files(self) -> set[str]:
        """Return the names of all files, including temporary ones, but without the filler."""
        found = {p.name for p in self.folder.rglob("*") if p.is_file()}
        return found - {FILLER}

    def unmount(self) -> None:
        """Unmount it."""
        os.sync()
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
