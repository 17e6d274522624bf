from pathlib import Path
from types import SimpleNamespace

import pytest

from study.storage.confirmation import Confirmation
from study.tables import export
from study.tables.export import export_confirmations


def test_a_confirmation_is_written_into_its_folder_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rule: the name of a study never leads out of the folder of results.
    found = Confirmation("../../x", {"split": "inter-patient"}, {}, {}, {})
    monkeypatch.setattr(export, "read_study", lambda *_: SimpleNamespace(confirmation=found))
    folder = tmp_path / "a" / "b"
    paths, others = export_confirmations(
        "sqlite:///s.db", ["x"], folder, formats=["markdown"], digits=4
    )
    assert others == []
    assert [path.resolve().parents[1] for path in paths] == [folder]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == paths
