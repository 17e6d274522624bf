"""Rules of the file that lists the records of a split: each record and patient in one part."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.errors import UsageError
from ecg.record_lists import PARTS, RecordLists, from_text, read_record_lists
from tests.support.toy import rule

GOOD = 'train = ["a", "b"]\nvalidation = ["c"]\ntest = [100, "e"]\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "split.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_names_are_read_as_text_and_patients_as_groups(tmp_path: Path) -> None:
    lists = read_record_lists(write(tmp_path, GOOD + '[patients]\nanna = ["a", "b"]\n'))
    assert lists == RecordLists(("a", "b"), ("c",), ("100", "e"), (("a", "b"),))


def test_the_name_of_the_split_depends_on_its_records(tmp_path: Path) -> None:
    # Two files with different records never share it; order and patients do not matter.
    lists = read_record_lists(write(tmp_path, GOOD))
    same = RecordLists(("b", "a"), ("c",), ("e", "100"), (("a", "b"),))
    assert lists.split == same.split
    assert lists.split.startswith("inter-patient-")
    others = [
        RecordLists(("a",), ("c",), ("100", "e")),
        RecordLists(("a", "b"), ("100",), ("c", "e")),
        RecordLists(("a", "b", "c"), ("100",), ("e",)),
    ]
    assert len({one.split for one in (lists, *others)}) == 4


names = st.lists(st.text("abc1_", min_size=1, max_size=4), min_size=3, max_size=12, unique=True)


@rule
@given(names, st.data())
def test_lists_survive_as_text(found: list[str], data: st.DataObject) -> None:
    # A study stores them as text.
    one, two = sorted(data.draw(st.lists(st.integers(1, len(found) - 1), min_size=2, max_size=2)))
    if one == two:
        return
    lists = RecordLists(tuple(found[:one]), tuple(found[one:two]), tuple(found[two:]))
    assert from_text(lists.as_text()) == lists


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (GOOD.replace('"c"', '"c", "a"'), "record a is in train and in validation"),
        (GOOD.replace('"e"', '"b"'), "record b is in train and in test"),
        (GOOD.replace('"e"', "100"), "record 100 is twice in test"),
        (
            GOOD + '[patients]\nanna = ["b", "e"]\n',
            "is in two parts: record b in train, record e in test",
        ),
        (
            GOOD + '[patients]\nanna = ["a", "b"]\nbert = ["b", "x"]\n',
            "record b belongs to two patients",
        ),
        (GOOD.replace("validation", "valid"), "unknown entry 'valid'"),
        ('train = ["a"]\ntest = ["b"]\n', "the list validation is missing or empty"),
        (GOOD.replace('["c"]', "[]"), "the list validation is missing or empty"),
        (GOOD.replace('["c"]', '"c"'), "validation is not a list"),
        (GOOD.replace('["c"]', "[1.5]"), "validation has an entry that is not a name: 1.5"),
        (GOOD.replace('["c"]', "[true]"), "not a name: True"),
        ("patients = 3\n" + GOOD, "patients is not a table"),
        (GOOD.replace("=", ":"), "not a readable TOML file"),
    ],
)
def test_a_fault_is_reported_with_the_file(text: str, cause: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_record_lists(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert cause in str(caught.value)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "huge").write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(UsageError, match="missing: no such file"):
        read_record_lists(tmp_path / "missing")
    for path in (tmp_path, tmp_path / "binary", tmp_path / "huge"):
        with pytest.raises(UsageError, match="not a readable TOML file"):
            read_record_lists(path)


@pytest.mark.parametrize("text", ["", "[]", "3", '{"train": 1}', '{"train": ["a"], "x": 1}'])
def test_damaged_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cannot read the stored records of a split"):
        from_text(text)


def test_the_parts_have_the_names_of_every_split() -> None:
    assert PARTS == ("train", "validation", "test")
