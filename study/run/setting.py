"""Data, budget and device of a run, resolved from its options."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import torch
from rich.console import Console

from ecg import describe, sources
from ecg.budget import Budget, find_budget
from ecg.errors import UsageError
from ecg.heartbeats import Heartbeats
from ecg.record_lists import RecordLists, from_text
from ecg.splits import make_split
from ecg.training import find_device, find_precision
from ecg.training.config import PROTOCOL
from ecg.training.precision import bf16_gain, is_bf16_fast
from search_spaces import Space
from study.run.options import RunOptions
from study.storage.database import parse_url
from study.storage.reading import read_identity
from study.storage.recordings import read_recording
from study.storage.studies import (
    default_name,
)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The data and the means of a run, resolved from what was typed.

    Attributes:
        study: name.
        source: of the heartbeats.
        fingerprint: of the heartbeats, or of the recording that stands in for training.
        described: how many heartbeats, or what stands in for them.
        data: where the heartbeats are, as for `ecg.sources.load`.
        split: name.
        budget: limits of a training run.
        device: where trainings run.
        device_kind: of the study's trainings, which a replay only follows.
        precision: in which they compute.
        protocol: of the trainings.
        beats: the heartbeats, None for a replay.
        records: of each part of the split, where a file lists them.
    """

    study: str
    source: str
    fingerprint: str
    described: str
    data: str
    split: str
    budget: Budget
    device: torch.device
    device_kind: str
    precision: str
    protocol: int = PROTOCOL
    beats: Heartbeats | None = None
    records: RecordLists | None = None


def resolve_setting(options: RunOptions, kind: str, console: Console) -> Setting:
    """Find and load the data, budget and device; refuse a split that leaks.

    A study that exists keeps its own device and precision where none is typed.

    Args:
        options: what was typed.
        kind: of the study, its "space".
        console: where to print.

    Raises:
        EcgError: one of them is not to be had.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # our own lines say it
    device = find_device(options.device)
    if options.precision != "auto":
        find_precision(options.precision, device)  # a slip is refused before the data is read
    budget = find_budget(options.budget or ("paper" if device.type == "cuda" else "quick"))
    resolved = sources.resolve(options.data)
    style = "bold black on yellow" if resolved.fallback else "dim"
    console.print(resolved.note, style=style, markup=False, highlight=False, soft_wrap=True)
    console.print("loading the heartbeats", style="dim")
    beats = sources.load(resolved.location)
    split_name = options.records.split if options.records else options.split
    name = options.study or default_name(kind, beats.source, split_name, budget.name)
    stored = read_identity(options.storage, name)
    records = options.records or _stored_records(stored, options.split)
    split = make_split(options.split, beats, records)
    for caution in describe.cautions(beats, split):
        console.print(
            f"caution: {caution}", style="yellow", markup=False, highlight=False, soft_wrap=True
        )
    device, precision = _own_means(options, device, stored)
    if precision == "bf16" and device.type == "cpu" and not is_bf16_fast():
        console.print(
            f"warning: bf16 is no gain on this CPU: its convolutions take {1 / bf16_gain():.1f} "
            "times as long as those of fp32. Use --precision fp32 unless the study must stay in "
            "bf16.",
            style="bold black on yellow", markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
    return Setting(
        study=name,
        source=beats.source,
        fingerprint=beats.fingerprint,
        described=f"{len(beats):,} beats",
        data=str(resolved.location),
        split=split.name,
        budget=budget,
        device=device,
        device_kind=device.type,
        precision=precision,
        beats=beats,
        records=records,
    )


def _stored_records(stored: Mapping[str, Any], split: str) -> RecordLists | None:
    """Return the lists of records that a study has kept, if it is of this split."""
    if stored.get("records") and stored.get("split") == split:
        return from_text(stored["records"])
    return None


def _own_means(
    options: RunOptions, device: torch.device, stored: Mapping[str, Any]
) -> tuple[torch.device, str]:
    """Return the device and precision: as typed, else the study's own, else this machine's.

    Where this machine has not what the study needs, it is the study that refuses.

    Args:
        options: what was typed.
        device: as typed, or this machine's.
        stored: identity of the study, empty for none.
    """
    if options.device == "auto" and stored.get("device") not in (None, device.type):
        with suppress(UsageError):
            device = find_device(stored["device"])
    if options.precision == "auto" and "precision" in stored:
        with suppress(UsageError):
            return device, find_precision(stored["precision"], device)
    return device, find_precision(options.precision, device)


def replay_setting(options: RunOptions, space: Space) -> Setting:
    """Return the setting of a replay: all of it comes with the recording.

    Raises:
        EcgError: the recording cannot be read, or is of another space.
    """
    assert options.replay is not None
    recording = read_recording(options.replay)
    recorded = recording.identity
    if recorded.get("space") != space.name:
        raise UsageError(
            f"the recording {options.replay} is of the space '{recorded.get('space')}', "
            f"not '{space.name}'"
        )
    recording.check(space)
    source = f"replay of {recorded['source']}"
    return Setting(
        study=options.study
        or default_name(space.name, source, recorded["split"], recorded["budget"]),
        source=source,
        fingerprint=recording.digest,
        described=f"{len(recording.trials)} recorded trials, no training",
        data="",
        split=recorded["split"],
        budget=find_budget(recorded["budget"]),
        device=torch.device("cpu"),
        device_kind=recorded["device"],
        precision=recorded["precision"],
        protocol=recorded["protocol"],
    )


def checkpoint_folder(storage: str) -> Path:
    """Return the folder of a storage's checkpoints: beside an SQLite file, else in results/."""
    url = parse_url(storage)
    beside = url.get_backend_name() == "sqlite" and url.database
    return (Path(str(url.database)).parent if beside else Path("results")) / "checkpoints"
