"""Data, device and identity of a study, resolved from what was typed."""

import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import Any

import optuna
from rich.console import Console

from ecg import describe, sources
from ecg.budget import find_budget
from ecg.errors import UsageError
from ecg.folds import folds_of
from ecg.heartbeats import Heartbeats
from ecg.metrics import objective_on_split
from ecg.record_lists import RecordLists, from_text
from ecg.splits import REDRAWN, is_by_patient, make_split, protocol_of
from ecg.training import find_device, find_precision
from ecg.training.precision import bf16_gain, is_bf16_fast
from search_spaces import Space, all_spaces
from search_spaces.tables import ALL_TABLES
from study.run.options import RunOptions, check_objectives
from study.run.output import CAUTION, WARNING, print_line
from study.run.planned_runs import RUNS_OBJECTIVE
from study.run.points import check_larger
from study.storage.confirmation import is_confirming
from study.storage.reading import read_identity, read_settings
from study.storage.recordings import read_recording
from study.storage.studies import Identity, default_name
from study.trials.task import Machine
from study.wording import words_to_continue

# Settings that a second stage takes from the study of the first stage.
FROM_EARLIER = ("space", "data", "split", "seed", "objectives")


def continue_settings(machine: Machine, typed: Mapping[str, Any]) -> tuple[Machine, RunOptions]:
    """Complete what was typed by the settings of the named study, if it exists.

    Args:
        machine: as typed.
        typed: options of `run` by field of `RunOptions`, None if not typed.

    Raises:
        UsageError: an option is invalid, or another command continues the study.
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
    if typed["sampler"] == "grid" and stored.get("sampler") != "grid":
        stored.pop("trials", None)  # a grid has its own number of trials
    if machine.data != "auto":
        stored.pop("replay", None)
    return find_stored_data(machine, stored), RunOptions.continuing(typed, stored)


def _stored_settings(url: str, name: str) -> dict[str, Any]:
    """Return the stored options of a study by field of `RunOptions`, and its data.

    Raises:
        UsageError: another command continues the study.
    """
    identity, settings = read_settings(url, name)
    if is_confirming(kind := str(identity.get("space", ""))):
        command = shlex.join(words_to_continue(name, identity, settings, ()))
        raise UsageError(
            f"the study '{name}' confirms another study. Continue it with: python -m study "
            f"{command}"
        )
    stored: dict[str, Any] = {}
    if kind == ALL_TABLES or kind in all_spaces():  # the name of a file's space is not enough
        stored["space"] = kind
    stored |= settings
    kept = ("split", "budget", "seed", "repeats", "objectives")
    stored |= {key: identity[key] for key in kept if key in identity}
    if stored.get("split") == REDRAWN:
        stored |= {"split": "intra-patient", "resplit": True}
    return stored


def find_stored_data(machine: Machine, settings: Mapping[str, Any]) -> Machine:
    """Return the machine with the data of a study, if none is typed and they still exist."""
    data = str(settings.get("data", ""))
    exists = data == sources.SYNTHETIC or os.path.exists(data)
    return replace(machine, data=data) if machine.data == "auto" and exists else machine


def check_found(
    study: str, beats: Heartbeats, stored: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    """Check that heartbeats that nobody named are those of a study.

    Args:
        study: name of the study.
        beats: the heartbeats that were found.
        stored: identity of the study.
        settings: settings of the study.

    Raises:
        UsageError: they differ; says where the study's data was.
    """
    if beats.fingerprint == stored.get("data"):
        return
    place = f" It used {settings['data']}." if settings.get("data") else ""
    raise UsageError(
        f"The study '{study}' was made with other data ({stored['source']}, {stored['data'][:12]}) "
        f"than was found now ({beats.source}, {beats.fingerprint[:12]}).{place} Name the study's "
        "data with --data, or start another study with --study and a new name."
    )


def resolve(
    machine: Machine, options: RunOptions, space: Space | None, console: Console
) -> tuple[Machine, str, Identity, Heartbeats]:
    """Find the data, budget and device of a study that trains.

    An existing study keeps its device and precision unless others are typed.

    Args:
        machine: as typed.
        options: the options of `run`.
        space: the space to search, None for the published tables.
        console: where to print.

    Returns:
        The machine without "auto", the study's name and identity, and the heartbeats.

    Raises:
        EcgError: the data, budget or device is not available, or the split leaks.
    """
    device = find_device(machine.device)
    budget = find_budget(options.budget or ("paper" if device.type == "cuda" else "quick"))
    is_found, (machine, beats) = machine.data == "auto", load_data(machine, console)
    kind = ALL_TABLES if space is None else space.name
    split = options.records.split if options.records else options.split_name
    objective, objectives = find_objectives(options, space, split)
    name = options.study or default_name(kind, beats.source, split, budget.name, objectives)
    stored, settings = read_settings(machine.storage, name)
    if stored and is_found:
        check_found(name, beats, stored, settings)
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
        return objective_on_split(alone, by_patient=by_patient), ""
    names = [
        objective_on_split(name, by_patient=by_patient) for name in options.objectives.split(",")
    ]
    found = ",".join(names)
    check_objectives(found)
    return names[0], found


def _stored_records(stored: Mapping[str, Any], split: str) -> RecordLists | None:
    """Return the lists of records stored with a study, if it has this split."""
    if stored.get("records") and stored.get("split") == split:
        return from_text(stored["records"])
    return None


def load_data(machine: Machine, console: Console) -> tuple[Machine, Heartbeats]:
    """Find and load the data.

    Returns:
        The machine with the location of the data, and the heartbeats.

    Raises:
        EcgError: the data is not available.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # we print our own lines
    device = find_device(machine.device)
    if machine.precision != "auto":
        find_precision(machine.precision, device)  # refuse a mistake before reading the data
    resolved = sources.resolve(machine.data)
    print_line(console, resolved.note, WARNING if resolved.fallback else "dim")
    console.print("loading the heartbeats", style="dim")
    beats = sources.load(resolved.location)
    return replace(machine, data=str(resolved.location)), beats


def check_split(name: str, beats: Heartbeats, records: RecordLists | None, console: Console) -> str:
    """Refuse a split that leaks, and print cautions about its scores.

    Args:
        name: name of the split.
        beats: the heartbeats to split.
        records: the records of each part, if a file lists them.
        console: where to print.

    Returns:
        The name of the split; with lists of records, the name that they give it.

    Raises:
        EcgError: these beats cannot be split so.
    """
    draws = range(folds_of(name) or 1)
    splits = [make_split(name, beats, records, draw=draw) for draw in draws]
    found = [describe.cautions(beats, split) for split in splits]
    for caution in dict.fromkeys(chain(*found)):
        folds = [str(fold) for fold, cautions in enumerate(found, start=1) if caution in cautions]
        where = "" if len(folds) == len(splits) else f"fold {', '.join(folds)}: "
        print_line(console, f"caution: {where}{caution}", CAUTION)
    return splits[0].name


def resolve_means(machine: Machine, stored: Mapping[str, Any], console: Console) -> Machine:
    """Choose device and precision: as typed, else as stored, else the best of this machine.

    If this machine lacks what the study needs, opening the study refuses the difference.

    Args:
        machine: as typed.
        stored: the study's identity, empty for a new one.
        console: where to warn that a precision is slow here.
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
        print_line(
            console,
            f"warning: bf16 is slow on this CPU: its convolutions take {1 / bf16_gain():.1f} times "
            "as long as those of fp32. Use --precision fp32 unless the study must stay in bf16.",
            WARNING,
        )
    return replace(machine, device=str(device), precision=precision)


def replayed(machine: Machine, options: RunOptions, space: Space) -> tuple[Machine, str, Identity]:
    """Return the machine, name and identity of a replay; only the seed is not the recording's.

    Raises:
        EcgError: the recording cannot be read, or is of another space.
    """
    assert options.replay is not None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    recording = read_recording(options.replay)
    recorded = recording.identity
    if recorded.get("space") != space.name:
        raise UsageError(
            f"the recording {options.replay} is of the space '{recorded.get('space')}', not "
            f"'{space.name}'. Use --space {recorded.get('space')}."
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
