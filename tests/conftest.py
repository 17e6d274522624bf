"""Fixtures of all tests: the place of the real data, and a cache apart from the user's."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecg.sources.locate import locate

REPOSITORY = Path(__file__).parents[1]
ECG_DATA = os.environ.get("ECG_DATA")  # read before `isolated` unsets it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "mitdb" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real_data)


@pytest.fixture(scope="session", autouse=True)
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache for the whole run, so that real data is rebuilt once, and no ECG_DATA."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ECG_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("ECG_DATA", raising=False)
        yield


@pytest.fixture(scope="session")
def mitdb() -> Path:
    """The folder of the 48 real records; tests that ask for it are skipped without it."""
    place = Path(ECG_DATA) if ECG_DATA else REPOSITORY.parent / "shared" / "data" / "mitdb"
    found = locate(place)
    if found is None or found.kind != "mitdb":
        pytest.skip(f"no MIT-BIH records in {place}; name their folder in ECG_DATA")
    return found.path
