"""One WFDB record with beat annotations: header, signal and annotations, each checked.

File formats: WFDB Applications Guide, header(5), signal(5), annot(5).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg.errors import DataError, use_one_of
from ecg.heartbeats import Record
from ecg.sources.mitdb_files import DOWNLOAD_AGAIN
from ecg.sources.windows import Windows, cut_windows

HEADER, ANNOTATIONS = ".hea", ".atr"
# Bits per sample in each supported signal format; the lowest value marks a missing sample.
FORMATS = {"16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12}
RATES = (100.0, 20000.0)  # Hz
SIZE_LIMITS = {HEADER: 64 * 1024, ANNOTATIONS: 64 * 1024 * 1024}
LONGEST = 2**31 - 1  # samples; positions are stored as int32
CONVERT = "convert it to format 16 with the WFDB tool `xform` or Python's `wfdb.wrsamp`"

# Annotation codes that are followed by further bytes (WFDB annot(5)).
SKIP, AUX = 59, 63
PATIENT = re.compile(r"patient\s*(?:id|no\.?)?\s*[:#=]?\s*(\w+)", re.IGNORECASE)


# From a record (path, rate in Hz, samples of a lead, its gaps) to the samples and symbols of its
# annotations.
Annotate = Callable[
    [Path, float, NDArray[np.int64], NDArray[np.bool_] | None],
    tuple[NDArray[np.int64], list[str]],
]


class FileError(Exception):
    """What is wrong with a file; `read_record` adds its folder and what to do.

    Args:
        fault: what is wrong.
        advice: what to do, if the advice of the database does not fit.
    """

    def __init__(self, fault: str, advice: str = "") -> None:
        super().__init__(fault)
        self.advice = advice


@dataclass(frozen=True)
class Rules:
    """What a database requires of its records.

    Attributes:
        size_limits: largest size in bytes of each required file, by suffix.
        check_header: raises `FileError` for a header that does not fit the database.
        advice: what the user should do about a damaged file.
    """

    size_limits: Mapping[str, int]
    check_header: Callable[[str, Any], None]
    advice: str


def _any_header(name: str, header: Any) -> None:
    if not header.fs or not RATES[0] <= header.fs <= RATES[1]:
        raise FileError(
            f"{name} gives a sampling rate of {header.fs} Hz, which is not between "
            f"{RATES[0]:.0f} and {RATES[1]:.0f} Hz"
        )


ANY = Rules(SIZE_LIMITS, _any_header, "Fix the record, or move it out of the folder.")
SUBSET = Rules(SIZE_LIMITS, _any_header, DOWNLOAD_AGAIN)


def read_record(
    folder: Path,
    name: str,
    rules: Rules = ANY,
    *,
    lead: str | None = None,
    shown_as: Path | None = None,
    annotate: Annotate | None = None,
) -> tuple[Windows, Record]:
    """Read one record and cut it into beats.

    Args:
        folder: folder with `<name>.hea`, `<name>.atr` and the signal files.
        name: name of the record.
        rules: rules of its database.
        lead: name of the lead; None for the first.
        shown_as: path for error messages, if the folder is temporary.
        annotate: finds the annotations; None reads `<name>.atr`.

    Returns:
        The beats, and the details of the record.

    Raises:
        DataError: a file is missing or damaged; any error of `wfdb` becomes this error.
    """
    path = folder.absolute() / name
    try:
        header = read_header(path, rules)
        channel = _channel(header, lead)
        adc, gaps = _read_signal(path, header, channel)
        sample, symbol = (annotate or read_annotations)(path, float(header.fs), adc, gaps)
    except (FileError, OSError) as error:
        raise named(error, shown_as or folder, name, rules) from error
    windows = cut_windows(adc, sample, symbol, rate=float(header.fs), gaps=gaps)
    names = lead_names(header)
    record = Record(name, float(header.fs), names[channel], _patient(header), windows.lost)
    return windows, record


def named(error: Exception, folder: Path, name: str, rules: Rules) -> DataError:
    """Return the error with folder, record and advice."""
    advice = getattr(error, "advice", "") or rules.advice
    return DataError(f"{folder}: record {name}: {error}. {advice}")


def lead_names(header: Any) -> list[str]:
    """Return the names of the leads; "lead 1" and so on for those without a name."""
    return [str(one or f"lead {place}") for place, one in enumerate(header.sig_name, start=1)]


def _channel(header: Any, lead: str | None) -> int:
    names = lead_names(header)
    if lead is None:
        return 0
    for place, name in enumerate(names):
        if name.strip().lower() == lead.strip().lower():
            return place
    raise FileError(f"there is no lead {lead!r}", use_one_of(names))


def _patient(header: Any) -> str:
    for comment in header.comments or ():
        if found := PATIENT.fullmatch(comment.strip()):
            return f"patient {found[1]}"
    return ""


def read_header(path: Path, rules: Rules) -> Any:
    """Return the header of a record, after checking its files."""
    import wfdb

    _check_files(path, rules.size_limits)
    try:
        header: Any = wfdb.rdheader(str(path))
    except Exception as error:
        raise FileError(f"{path.name}{HEADER} is unreadable ({_reason(error)})") from error
    _check_header(path, header, rules)
    return header


def _check_files(path: Path, limits: Mapping[str, int]) -> None:
    missing = [f"{path.name}{suffix}" for suffix in limits if not Path(f"{path}{suffix}").is_file()]
    if missing:
        raise FileError(f"{' and '.join(missing)} missing")
    for suffix, limit in limits.items():
        size = Path(f"{path}{suffix}").stat().st_size
        if size > limit:
            raise FileError(f"{path.name}{suffix} has {size} bytes, more than any such file has")


def _check_header(path: Path, header: Any, rules: Rules) -> None:
    """Refuse a header that refers to other files or to more samples than there are."""
    name = f"{path.name}{HEADER}"
    files = getattr(header, "file_name", None)
    if getattr(header, "n_seg", None) is not None:
        raise FileError(f"{name} describes a record of several segments; {CONVERT}")
    if not header.n_sig or not files:
        raise FileError(f"{name} describes no channel")
    if len(files) != header.n_sig:
        raise FileError(f"{name} declares {header.n_sig} channels but describes {len(files)}")
    _check_names(path, files)
    rules.check_header(name, header)
    for form in header.fmt:
        if form not in FORMATS:
            raise FileError(f"{name} has the unsupported signal format {form}; {CONVERT}")
    if not set(header.samps_per_frame) <= {None, 1} or any(header.skew):
        raise FileError(f"{name} has leads of different rates or start times; {CONVERT}")
    if not header.sig_len:
        raise FileError(f"{name} lacks the number of samples")
    if header.sig_len > LONGEST:
        raise FileError(f"{name} declares more samples than can be read")
    for file in dict.fromkeys(files):
        _check_size(path, header, file)


def _check_names(path: Path, files: Sequence[str]) -> None:
    for file in files:
        if Path(file).name != file or Path(file).stem != path.name:
            raise FileError(
                f"{path.name}{HEADER} names the signal file {file!r} instead of {path.name}.dat"
            )


def _check_size(path: Path, header: Any, file: str) -> None:
    channels = [place for place, one in enumerate(header.file_name) if one == file]
    forms = {header.fmt[place] for place in channels}
    offset = header.byte_offset[channels[0]] or 0
    if len(forms) > 1:
        raise FileError(f"{path.name}{HEADER} gives several formats for {file}; {CONVERT}")
    bits = FORMATS[header.fmt[channels[0]]]
    expected = offset + (header.sig_len * len(channels) * bits + 7) // 8
    if not (path.parent / file).is_file():
        raise FileError(f"{file} missing")
    found = (path.parent / file).stat().st_size
    if found != expected:
        fault = "is cut short" if found < expected else "is too long"
        raise FileError(
            f"{file} {fault}: it has {found} bytes, but {path.name}{HEADER} implies {expected} "
            f"({header.sig_len} samples of {len(channels)} channels)"
        )


def _read_signal(
    path: Path, header: Any, channel: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    """Return a channel in raw ADC units and its gaps, (samples,) both; None for no gaps.

    The checksum is verified if the header gives one.
    """
    import wfdb

    file = header.file_name[channel]
    try:
        signal = wfdb.rdrecord(str(path), channels=[channel], physical=False).d_signal
        adc: NDArray[np.int64] = np.asarray(signal, dtype=np.int64)[:, 0]
    except Exception as error:
        raise FileError(f"{file} is unreadable ({_reason(error)})") from error
    checksum = header.checksum[channel]
    if checksum is not None and (int(adc.sum()) - checksum) % 65536:
        raise FileError(f"{file} does not match the checksum in {path.name}{HEADER}")
    gaps: NDArray[np.bool_] = adc == -(2 ** (FORMATS[header.fmt[channel]] - 1))
    if gaps.all():
        raise FileError(f"the lead {lead_names(header)[channel]} has no signal at all")
    return adc, gaps if gaps.any() else None


def read_annotations(
    path: Path,
    rate: float,
    adc: NDArray[np.int64],
    gaps: NDArray[np.bool_] | None = None,
    *,
    suffix: str = ANNOTATIONS,
) -> tuple[NDArray[np.int64], list[str]]:
    """Return sample and symbol of every annotation of a record.

    Args:
        path: path of the record, without suffix.
        rate: sampling rate in Hz.
        adc: (samples,) signal of a lead.
        gaps: ignored.
        suffix: suffix of the annotation file.

    Raises:
        FileError: the file is missing, damaged, or does not belong to the record.
    """
    import wfdb

    name, length = f"{path.name}{suffix}", len(adc)
    if not Path(f"{path}{suffix}").is_file():
        advice = "" if suffix == ANNOTATIONS else "Leave `peaks` out to have R peaks detected."
        raise FileError(f"{name} missing", advice)
    _check_end_marker(name, Path(f"{path}{suffix}").read_bytes())
    try:
        annotation = wfdb.rdann(str(path), suffix[1:])
        sample: NDArray[np.int64] = np.asarray(annotation.sample, dtype=np.int64)
        symbol = [str(one) for one in annotation.symbol]
    except Exception as error:
        raise FileError(f"{name} is unreadable ({_reason(error)})") from error
    if len(sample) == 0:
        raise FileError(f"{name} has no annotation")
    if annotation.fs and annotation.fs != rate:
        raise FileError(
            f"{name} counts time at {annotation.fs} Hz, but its record at {rate} Hz; write it "
            "again at the record's rate"
        )
    if (np.diff(sample) < 0).any():
        first = int(np.flatnonzero(np.diff(sample) < 0)[0]) + 1
        raise FileError(f"annotation {first} of {name} is earlier than the previous one")
    if sample[0] < 0 or sample[-1] >= length:
        raise FileError(
            f"{name} has an annotation at sample {sample[0] if sample[0] < 0 else sample[-1]}, "
            f"outside the {length} samples of the record"
        )
    return sample, symbol


def _check_end_marker(name: str, content: bytes) -> None:
    """Check that the end marker, a zero word, is at the end of the annotations.

    `wfdb` takes the last two bytes for the marker without looking, so a truncated file would
    silently lose its last annotations.
    """
    at = 0
    while at + 2 <= len(content):
        word = int.from_bytes(content[at : at + 2], "little")
        at += 2
        code, value = word >> 10, word & 0x3FF
        if word == 0:
            if at < len(content):
                raise FileError(f"{name} has {len(content) - at} bytes after its end marker")
            return
        if code == SKIP:
            at += 4
        elif code == AUX:
            at += value + value % 2
    raise FileError(f"{name} is cut short: it has no end marker")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
