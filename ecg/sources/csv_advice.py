"""Explains what is wrong with a CSV file of beats and how to fix it."""

import numpy as np

from ecg.heartbeats import BEAT_LENGTH, CLASSES
from ecg.sources.csv_files import CsvFile, as_text

COLUMNS = BEAT_LENGTH + 1  # the values, then the label
TOLERANCE = 1e-6  # how far rounding may move a value outside [0, 1]
ADVICE = "Download it again with `python -m ecg fetch kaggle`."
LABELS = f"0, 1, 2, 3, 4 for {', '.join(CLASSES)}"


def explain(file: CsvFile) -> str | None:
    """Return what is wrong with the first bad row of a file of Kaggle's form, and how to fix it.

    For example "row 3: 187 columns instead of 188 (187 values and a label). Download ...".
    None if every row is valid.
    """
    try:
        for place, (number, line) in enumerate(file.lines()):
            text = as_text(line)
            fault = _of_kind(text) or _of_form(text, place) or fault_of_row(text.split(","), file)
            if fault:
                return f"row {number}: {fault}"
    except (ValueError, OSError) as error:
        return f"{error}. {ADVICE}"
    return None


def _of_kind(text: str) -> str | None:
    """Return what a row shows that the file is instead of a CSV file in UTF-8."""
    if text.lstrip().startswith("<"):
        return f"this is a web page, not a CSV file. {ADVICE}"
    if "\x00" in text:
        return "the file is not UTF-8. Write it in UTF-8 (pandas: encoding='utf-8')."
    return None


def _of_form(text: str, place: int) -> str | None:
    """Return what is wrong with the format of a row; None if the format is right."""
    fields = text.split(",")
    if '"' in text:
        return (
            f"fields are in quotes, such as {next(f for f in fields if chr(34) in f)[:20]}. Write "
            "the file without quotes (pandas: quoting=csv.QUOTE_NONE)."
        )
    if text.count(";") >= BEAT_LENGTH:
        return (
            "fields are separated by semicolons. Write the file with commas between fields and "
            "decimal points in numbers (pandas: sep=',', decimal='.')."
        )
    if len(fields) == 1 and len(text.split()) >= BEAT_LENGTH:
        return (
            "fields are separated by spaces or tabs. Write the file with commas (pandas: sep=',')."
        )
    if place == 0 and _is_header(fields):
        index = " and index=False" if len(fields) == COLUMNS + 1 else ""
        return (
            f"a header ({fields[0][:20]}, {fields[1][:20]}, ...) instead of values. Only a table "
            "with the column 'label' may have a header (docs/data.md). Delete this row, or write "
            f"the file without it (pandas: header=False{index})."
        )
    if len(fields) == COLUMNS + 1 and fields[0].strip() == str(place):
        return (
            f"{len(fields)} columns instead of {COLUMNS}: the first one numbers the rows. Write "
            "the file without this index (pandas: index=False)."
        )
    return None


def _is_header(fields: list[str]) -> bool:
    if len(fields) < 2:
        return False
    if [field.strip() for field in fields[-BEAT_LENGTH:]][:3] in (["1", "2", "3"], ["0", "1", "2"]):
        return True
    return sum(not _is_number(field) for field in fields) > len(fields) / 2


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def fault_of_row(fields: list[str], file: CsvFile) -> str | None:
    """Return what is wrong with the values or the label of a row, and how to fix it."""
    if len(fields) != COLUMNS:
        columns = "1 column" if len(fields) == 1 else f"{len(fields)} columns"
        return f"{columns} instead of {COLUMNS} (187 values and a label). {ADVICE}"
    for column, field in enumerate(fields[:-1], start=1):
        if fault := _fault_of_number(field):
            return f"column {column}: {fault}. {ADVICE}"
        if not -TOLERANCE <= float(field) <= 1 + TOLERANCE:
            return f"column {column}: {field.strip()} is outside [0, 1]. {ADVICE}"
    return _fault_of_label(fields[-1].strip(), file)


def _fault_of_number(field: str) -> str | None:
    if not _is_number(field):
        return f"{field[:40]!r} is not a number"
    return None if np.isfinite(float(field)) else f"{field.strip()} is not a finite number"


def _fault_of_label(label: str, file: CsvFile) -> str | None:
    if label.upper() in CLASSES:
        return f"the label is the letter {label}. Write {LABELS}."
    if fault := _fault_of_number(label):
        return f"column {COLUMNS}: {fault}. {ADVICE}"
    if float(label) in range(len(CLASSES)):
        return None
    fault = f"label {label} is not one of 0, 1, 2, 3, 4"
    first, last = (_numbers(file, column) for column in (0, -1))
    if 0 not in last and last <= {1, 2, 3, 4, 5}:
        return f"{fault}; the labels of this file go from 1 to 5. Subtract 1, to get {LABELS}."
    if first and first <= {0, 1, 2, 3, 4}:
        return f"the labels seem to be in the first column. Write them in the last: {LABELS}."
    return f"{fault}, the numbers of {', '.join(CLASSES)}. {ADVICE}"


def _numbers(file: CsvFile, column: int) -> set[float]:
    """Return the different numbers of a column."""
    found = {as_text(line).split(",")[column].strip() for _, line in file.lines()}
    return {float(one) for one in found if _is_number(one)}
