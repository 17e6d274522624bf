"""Rules of the names of files that are made from names of studies."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.storage.files import LONGEST_NAME, file_name
from study.tables.export import collect_runs, export_result_files, export_table_files
from tests.support.fake_runs import fake_runs

HOSTILE = (
    "", ".", "..", "../../x", "/etc/x", "a/b", "a\\b", "C:\\x", "~", "~/x", "a\nb", "a\0b",
    "con", "CON.txt", "nul", "COM1", "lpt9.x", "a.", "a ", " a", "-rf", ".hidden", "x" * 512,
    "心" * 200, "a:b", "a*b?", "<b>", "a|b", '"', "$(id)", "\udcff",
)  # fmt: skip


@given(st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=()), max_size=600))
def test_every_name_gives_one_safe_file(name: str) -> None:
    # Rule: a part of a path on every system, no path, of a length that file systems take.
    found = file_name(name)
    assert Path(found).name == found
    assert not set(found) & set('/\\:*?"<>|\0\n\r\t')
    assert found not in ("", ".", "..")
    assert found[0] not in "-.~ "
    assert found[-1] not in ". "
    assert found.split(".")[0].strip().lower() not in ("con", "nul", "com1", "lpt9")
    assert len(found.encode()) <= LONGEST_NAME
    assert file_name(found) == found


def test_usual_names_stay_and_others_stay_apart() -> None:
    # Rule: a name that is one is kept; two names never share a file.
    usual = ("imbalance-mitdb-intra-patient-quick", "é 心電図", "a.b_c+d=1")
    assert [file_name(name) for name in usual] == [*usual]
    assert len({file_name(name) for name in HOSTILE}) == len(HOSTILE)


@pytest.mark.parametrize("name", ["../../evil", "/evil", "x" * 512])
def test_exports_stay_in_their_folder(sqlite_url: str, tmp_path: Path, name: str) -> None:
    # Rule: whatever a study is called, its files are below the folder that was named.
    folder = tmp_path / "deep" / "out"
    study = fake_runs(sqlite_url, name, seeds=1, budget="smoke", seed=0)
    written = export_result_files([study], folder)
    written += export_table_files(
        collect_runs(sqlite_url, [name]), folder, published=True, formats=["csv"], digits=4
    )
    assert written
    assert all(path.resolve().parent.parent == folder for path in written)
    assert {path.name for path in tmp_path.iterdir()} <= {"deep", "study.db"} | {
        path.name for path in tmp_path.glob("study.db-*")
    }
