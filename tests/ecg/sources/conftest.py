"""A small record in the real file formats, and a folder of 48 of them."""

from pathlib import Path

import pytest

from ecg.sources.mitdb_files import RECORDS
from tests.ecg.sources.tiny_records import copy_record, write_record


@pytest.fixture(scope="session")
def tiny_record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with record 100 alone; read-only by convention."""
    folder = tmp_path_factory.mktemp("record")
    write_record(folder, 100)
    return folder


@pytest.fixture(scope="session")
def tiny_mitdb(tiny_record: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all 48 records, each a copy of the tiny one; read-only by convention."""
    folder = tmp_path_factory.mktemp("mitdb")
    for record in RECORDS:
        copy_record(tiny_record, folder, record)
    return folder
