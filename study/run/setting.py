"""Data and means of a run, resolved from what was typed to what the study is."""

import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import optuna
from rich.console import Console

from ecg import describe, sources
from ecg.budget import find_budget
from ecg.errors import UsageError
from ecg.heartbeats import Heartbeats
from ecg.metrics import objective_of
from ecg.record_lists import RecordLists, from_text
from ecg.splits import REDRAWN, is_by_patient, make_split, protocol_of
from ecg.training import find_device, find_precision
from ecg.training.precision import bf16_gain, is_bf16_fast
from search_spaces import Space, all_spaces
from search_spaces.tables import ALL_TABLES
from study.run.options import RunOptions, check_objectives
from study.run.planned_runs import RUNS_OBJECTIVE
from study.run.points import check_larger
from study.storage.confirmation import confirming_space, is_confirming
from study.storage.reading import read_identity, read_settings
from study.storage.recordings import read_recording
from study.storage.studies import Identity, default_name
from study.trials.task import Machine

# What a second stage takes over from the study of the first.
FROM_EARLIER = ("space", "data", "split", "seed", "objectives")


def continue_settings(machine: Machine, typed: Mapping[str, Any]) -> tuple[Machine, RunOptions]:
    """Complete what was typed: a study that is named and exists has its own settings.

    Args:
        machine: as typed.
        typed: options of `run` by field of `RunOptions`, None for those not typed.

    Raises:
        UsageError: an option makes no sense, or the study is continued by another command.
    """
    typed = dict(typed)
    stored = {} if typed["study"] is None else _stored_settings(machine.storage, typed["study"])
    if (earlier := typed["from_study"]) is not None:
        identity = read_identity(machine.storage, earlier)
        check_larger(earlier, identity.get("budget"), typed["budget"])
        first = _stored_settings(machine.storage, earlier)
        shared = {name: first[name] for name in FROM_EARLIER if name in first}
        stored = {"pruner": "none"} | shared | stored
        typed["records"] = typed["records"] or _stored_records(identity, identity.get("split", ""))
    if typed["trials"] is not None:  # a second stage becomes a search
        stored.pop("from_study", None)
    if machine.data != "auto":
        stored.pop("replay", None)
    return find_stored_data(machine, stored), RunOptions.continuing(typed, stored)


def _stored_settings(url: str, name: str) -> dict[str, Any]:
    """Return what a study keeps of its options, by field of `RunOptions`, and its data.

    Raises:
        UsageError: the study is continued by another command.
    """
    identity, settings = read_settings(url, name)
    if is_confirming(kind := str(identity.get("space", ""))):
        command = shlex.join(["confirm", kind.removeprefix(confirming_space(""))])
        raise UsageError(
            f"the study '{name}' confirms another one. Continue it with: python -m study {command}"
        )
    stored: dict[str, Any] = {}
    if kind == ALL_TABLES or kind in all_spaces():  # a file is not known by its space's name
        stored["space"] = kind
    stored |= settings
    kept = ("split", "budget", "seed", "repeats", "objectives")
    stored |= {key: identity[key] for key in kept if key in identity}
    if stored.get("split") == REDRAWN:
        stored |= {"split": "intra-patient", "resplit": True}
    return stored


def find_stored_data(machine: Machine, settings: Mapping[str, Any]) -> Machine:
    """Return the machine with a study's data, where none is typed and they are still there."""
    data = str(settings.get("data", ""))
    is_there = data == sources.SYNTHETIC or os.path.exists(data)
    return replace(machine, data=data) if machine.data == "auto" and is_there else machine


def resolve(
    machine: Machine, options: RunOptions, space: Space | None, console: Console
) -> tuple[Machine, str, Identity, Heartbeats]:
    """Find data, budget and device of a run that trains.

    A study that exists keeps its own device and precision where none is typed.

    Args:
        machine: as typed.
        options: what is asked for.
        space: what is searched, None for the published tables.
        console: where to print.

    Returns:
        The machine without "auto", the study's name and identity, and the heartbeats.

    Raises:
        EcgError: one of them is not to be had, or the split leaks.
    """
    device = find_device(machine.device)
    budget = find_budget(options.budget or ("paper" if device.type == "cuda" else "quick"))
    machine, beats = load_data(machine, console)
    kind = ALL_TABLES if space is None else space.name
    split = options.records.split if options.records else options.split_name
    objective, objectives = find_objectives(options, space, split)
    name = options.study or default_name(kind, beats.source, split, budget.name, objectives)
    stored = read_identity(machine.storage, name)
    records = options.records or _stored_records(stored, options.split)
    split = check_split(options.split_name, beats, records, console)
    machine = resolve_means(machine, stored, console)
    identity = Identity(
        space=kind,
        space_digest="" if space is None else space.digest,
        objective=objective,
        source=beats.source,
        data=beats.fingerprint,
        split=split,
        budget=budget.name,
        device=find_device(machine.device).type,
        precision=machine.precision,
        protocol=protocol_of(split),
        seed=options.seed,
        records=records.as_text() if records else "",
        repeats=options.repeats,
        objectives=objectives,
    )
    return machine, name, identity, beats


def find_objectives(options: RunOptions, space: Space | None, split: str) -> tuple[str, str]:
    """Return the objective of a study on a split, and all of them where there are several.

    Raises:
        UsageError: two of them are the same on a split by patient.
    """
    by_patient = is_by_patient(split)
    if options.objectives is None:
        alone = RUNS_OBJECTIVE if space is None else space.objective
        return objective_of(alone, by_patient=by_patient), ""
    names = [objective_of(name, by_patient=by_patient) for name in options.objectives.split(",")]
    found = ",".join(names)
    check_objectives(found)
    return names[0], found


def _stored_records(stored: Mapping[str, Any], split: str) -> RecordLists | None:
    """Return the lists of records that a study has kept, if it is of this split."""
    if stored.get("records") and stored.get("split") == split:
        return from_text(stored["records"])
    return None


def load_data(machine: Machine, console: Console) -> tuple[Machine, Heartbeats]:
    """Find and load the data.

    Returns:
        The machine with the place of the data, and the heartbeats.

    Raises:
        EcgError: the data is not to be had.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # our own lines say it
    device = find_device(machine.device)
    if machine.precision != "auto":
        find_precision(machine.precision, device)  # a slip is refused before the data is read
    resolved = sources.resolve(machine.data)
    style = "bold black on yellow" if resolved.fallback else "dim"
    console.print(resolved.note, style=style, markup=False, highlight=False, soft_wrap=True)
    console.print("loading the heartbeats", style="dim")
    beats = sources.load(resolved.location)
    return replace(machine, data=str(resolved.location)), beats


def check_split(name: str, beats: Heartbeats, records: RecordLists | None, console: Console) -> str:
    """Refuse a split that leaks; say what its scores cannot.

    Args:
        name: of the split.
        beats: to be split.
        records: of each part, where a file lists them.
        console: where to print.

    Returns:
        The name of the split, which is that of the lists where there are any.

    Raises:
        EcgError: there is no such split of these beats.
    """
    split = make_split(name, beats, records)
    for caution in describe.cautions(beats, split):
        console.print(
            f"caution: {caution}", style="yellow", markup=False, highlight=False, soft_wrap=True
        )
    return split.name


def resolve_means(machine: Machine, stored: Mapping[str, Any], console: Console) -> Machine:
    """Choose device and precision: as typed, else the study's own, else this machine's.

    Where this machine has not what the study needs, it is the study that refuses.

    Args:
        machine: as typed.
        stored: identity of the study, empty for none.
        console: where to warn of a precision that is slow here.
    """
    device = find_device(machine.device)
    if machine.device == "auto" and stored.get("device") not in (None, device.type):
        with suppress(UsageError):
            device = find_device(stored["device"])
    precision = None
    if machine.precision == "auto" and "precision" in stored:
        with suppress(UsageError):
            precision = find_precision(stored["precision"], device)
    precision = precision or find_precision(machine.precision, device)
    if precision == "bf16" and device.type == "cpu" and not is_bf16_fast():
        console.print(
            f"warning: bf16 is no gain on this CPU: its convolutions take {1 / bf16_gain():.1f} "
            "times as long as those of fp32. Use --precision fp32 unless the study must stay in "
            "bf16.",
            style="bold black on yellow", markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
    return replace(machine, device=str(device), precision=precision)


def replayed(machine: Machine, options: RunOptions, space: Space) -> tuple[Machine, str, Identity]:
    """Return the machine, name and identity of a replay: all but the seed is the recording's.

    Raises:
        EcgError: the recording cannot be read, or is of another space.
    """
    assert options.replay is not None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    recording = read_recording(options.replay)
    recorded = recording.identity
    if recorded.get("space") != space.name:
        raise UsageError(
            f"the recording {options.replay} is of the space '{recorded.get('space')}', "
            f"not '{space.name}'"
        )
    recording.check(space)
    objective, objectives = find_objectives(options, space, recorded["split"])
    identity = Identity(
        space=space.name,
        space_digest=space.digest,
        objective=objective,
        source=f"replay of {recorded['source']}",
        data=recording.digest,
        split=recorded["split"],
        budget=recorded["budget"],
        device=recorded["device"],
        precision=recorded["precision"],
        protocol=recorded["protocol"],
        seed=options.seed,
        objectives=objectives,
    )
    name = options.study or default_name(
        space.name, identity.source, identity.split, identity.budget, objectives
    )
    machine = replace(machine, data="", device="cpu", precision=identity.precision)
    return machine, name, identity
