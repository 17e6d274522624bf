"""Rules of written files: they are written atomically and replace only files."""

import os
import socket
from pathlib import Path

import pytest

from ecg.files import replacing


def test_a_file_is_replaced_if_the_block_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    for text in ("one", "two"):
        with replacing(path) as beside:
            beside.write_text(text)
        assert path.read_text() == text
    with pytest.raises(UnicodeEncodeError), replacing(path) as beside:
        beside.write_text("three \udcff", encoding="utf-8")
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_only_regular_files_are_replaced(tmp_path: Path) -> None:
    # Root may rename a file over a device: `--output /dev/null` would break the machine.
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        for name in ("pipe", "folder", "link", "socket"):
            before = (tmp_path / name).stat()
            with pytest.raises(OSError, match="not a regular file"), replacing(tmp_path / name):
                pytest.fail("a place to write to was given")
            assert os.path.samestat(before, (tmp_path / name).stat())


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "link").symlink_to("store/file")
    for text in ("one", "two"):
        with replacing(tmp_path / "link") as beside:
            beside.write_text(text)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "store" / "file").read_text() == text
