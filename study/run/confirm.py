"""`study confirm`: the winners of a search and its baseline, trained with fresh seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState
from rich.console import Console

from ecg.budget import Budget, find_budget
from ecg.errors import UsageError
from ecg.folds import LEAST_FOLDS, MOST_FOLDS, folded_name
from ecg.heartbeats import CLASSES, Heartbeats
from ecg.metrics import objective_on_split
from ecg.splits import is_by_patient, protocol_of
from ecg.training import TrainConfig, find_device
from study.run.command import run_planned
from study.run.options import MOST_SEEDS, absolute_data
from study.run.output import print_line
from study.run.planned_runs import RUNS_OBJECTIVE, plan_runs
from study.run.setting import (
    check_found,
    check_split,
    find_stored_data,
    load_data,
    resolve_means,
)
from study.storage.artifacts import artifact_folder, read_test_predictions
from study.storage.attributes import PLANNED
from study.storage.confirmation import (
    BASELINE_LABEL,
    CONFIRMATION,
    Confirmation,
    confirming_name,
    confirming_space,
    without_seed,
)
from study.storage.reading import read_settings, read_study
from study.storage.rows import Row, baseline_row, finished_rows
from study.storage.searched_space import load_networks
from study.storage.studies import (
    Identity,
    check_format,
    find_identity,
    load_study,
    open_storage,
    study_lock,
)
from study.trials.task import Machine, PlannedRuns, Task, check_range
from study.wording import counted, objective_label

SEED_SHIFT = 1_000_003  # added to the seed of the search, so that all derived seeds are fresh


def confirm_study(
    machine: Machine,
    study: str,
    top: int,
    seeds: int,
    console: Console,
    budget: str | None = None,
    space: str | None = None,
    folds: int | None = None,
) -> Confirmation:
    """Train the best configurations and the baseline with fresh seeds, and compare them.

    They are compared on the test part, or with folds on the patients of the training records.

    Args:
        machine: as typed; device and precision are those of the search unless others are typed.
        study: name of the search.
        top: number of best configurations.
        seeds: fresh seeds per configuration, and per fold.
        console: where to print.
        budget: budget of the confirmation, None for that of the search.
        space: file that defines the search's own networks, None for the one it was run with.
        folds: number of folds of the training records, None for the test part.

    Returns:
        What all confirmations of this kind found so far.

    Raises:
        UsageError: the study has no finished trial or no baseline, the data differs, or its split
            is not by patient as folds require.
    """
    check_range("top", top, 1)
    check_range("seeds", seeds, 1, MOST_SEEDS)
    check_range("folds", folds, LEAST_FOLDS, MOST_FOLDS)
    stored, settings = _read_search(machine.storage, study)
    if folds is not None and not is_by_patient(stored["split"]):
        raise UsageError(
            f"--folds keeps each patient in one fold, and the study '{study}' has the split "
            f"{stored['split']}, which puts beats of a patient into all parts. Search with --split "
            "inter-patient, on data that has the record of each beat."
        )
    chosen = _choose(machine.storage, study, top, console)
    models = [fields["model"] for fields in chosen.values()]
    space = load_networks(machine.storage, study, models, space)
    machine, beats = _load_data(machine, study, stored, settings, console)
    identity = _identity(study, stored, machine, budget, folds)
    check_split(identity.split, beats, identity.record_lists, console)
    limits = find_budget(identity.budget)
    chosen = {label: _within(fields, limits) for label, fields in chosen.items()}
    runs = plan_runs(chosen.values(), seeds * (folds or 1), limits, identity.seed)
    goal = PlannedRuns(
        keys=frozenset(run.key for run in runs),
        reason=f"confirming the winners of '{study}'",
        space=space,
    )
    other = identity.budget if identity.budget != stored["budget"] else ""
    asked = {"top": top, "seeds": seeds, "budget": other, "folds": folds}
    kept = {option: value for option, value in asked.items() if value} | {
        "data": absolute_data(machine.data)
    }
    name = confirming_name(study, other, folds or 0)
    task = Task(machine=machine, study=name, identity=identity, goal=goal)
    try:
        run_planned(task, runs, beats, kept, console)
    finally:  # keeps what is trained so far
        keep_confirmation(machine.storage, task.study, chosen)
    found = read_study(machine.storage, task.study, {CONFIRMATION}).confirmation
    assert found is not None
    return found


def _choose(url: str, study: str, top: int, console: Console) -> dict[str, dict[str, Any]]:
    """Return the configurations to confirm by label; say how they were chosen from a front."""
    searched = read_study(url, study, {"baseline", "config", "best_epoch"})
    front = searched.front
    chosen = choose(searched.rows, top, front)
    if front:
        print_line(
            console,
            f"confirming {len(chosen) - 1} of {counted(len(front), 'trial')} on the front, those "
            f"with the best {objective_label(searched.objectives[0])}",
        )
    return chosen


def _within(fields: Mapping[str, Any], limits: Budget) -> dict[str, Any]:
    """Return the fields of a configuration within the limits of a budget, without its seed."""
    return without_seed(TrainConfig.from_fields(fields).within(limits).to_fields())


def _read_search(url: str, study: str) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Return the identity and the settings of a search that can be confirmed.

    Raises:
        UsageError: there is no such study, or its trials were not trained by this version.
    """
    stored = find_identity(load_study(open_storage(url, create=False), study))
    settings = read_settings(url, study)[1]
    if settings.get("replay"):
        raise UsageError(
            f"the study '{study}' is a replay: its trials were not trained. Confirm the study that "
            "was recorded."
        )
    check_format(study, stored)
    return stored, settings


def _load_data(
    machine: Machine,
    study: str,
    stored: Mapping[str, Any],
    settings: Mapping[str, Any],
    console: Console,
) -> tuple[Machine, Heartbeats]:
    """Load the data of a search, and choose its device and precision unless others are typed.

    Raises:
        UsageError: the data differs from that of the search.
    """
    machine = replace(
        machine,
        device=stored["device"] if machine.device == "auto" else machine.device,
        precision=stored["precision"] if machine.precision == "auto" else machine.precision,
    )
    machine, beats = load_data(find_stored_data(machine, settings), console)
    check_found(study, beats, stored, settings)
    return resolve_means(machine, {}, console), beats


def _identity(
    study: str,
    stored: Mapping[str, Any],
    machine: Machine,
    budget: str | None,
    folds: int | None,
) -> Identity:
    """Return the identity of the study that confirms a search; its seeds are fresh."""
    split = stored["split"] if folds is None else folded_name(stored["split"], folds)
    return Identity(
        **{
            **stored,
            "space": confirming_space(study),
            "space_digest": "",
            "objective": objective_on_split(RUNS_OBJECTIVE, by_patient=is_by_patient(split)),
            "split": split,
            "device": find_device(machine.device).type,
            "precision": machine.precision,
            "protocol": protocol_of(split),
            "seed": stored["seed"] + SEED_SHIFT,
            "budget": budget or stored["budget"],
            "repeats": 1,
            "objectives": "",
        }
    )


def keep_confirmation(url: str, name: str, chosen: Mapping[str, dict[str, Any]]) -> None:
    """Store which configurations a study confirms, and their ensembles, as its attribute.

    Configurations of earlier confirmations of the search are kept: together they are one family of
    tests.

    Args:
        url: URL of the database.
        name: name of the study that confirms; if it does not exist, nothing is stored.
        chosen: configurations as returned by `choose`.
    """
    storage = open_storage(url)
    with study_lock(storage, name):
        if name not in optuna.get_all_study_names(storage):
            return
        study = load_study(storage, name)
        kept = dict(study.user_attrs.get(CONFIRMATION, {"chosen": {}})["chosen"])
        kept |= {label: one for label, one in chosen.items() if one not in kept.values()}
        found = {
            label: find_ensemble(study, fields, artifact_folder(url))
            for label, fields in kept.items()
        }
        ensembles = {label: ensemble for label, ensemble in found.items() if ensemble}
        study.set_user_attr(CONFIRMATION, {"chosen": kept, "ensembles": ensembles})


def find_ensemble(
    study: optuna.Study, fields: Mapping[str, Any], folder: Path
) -> dict[str, Any] | None:
    """Return what the mean probabilities over the seeds predict on the test part.

    Args:
        study: the study that confirms.
        fields: fields of the configuration, without its seed.
        folder: the folder of the artifacts.

    Returns:
        The number of `runs` and the `confusion` matrix; None if fewer than two runs have kept
        their probabilities.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    mine = {
        trial.user_attrs[PLANNED]["repeat"]: trial
        for trial in complete
        if without_seed(trial.user_attrs["config"]) == dict(fields)
    }
    read = [read_test_predictions(trial, folder) for trial in mine.values()]
    found = [one for one in read if one is not None]
    if len(found) < 2:
        return None
    labels = found[0][1]
    mean = np.mean([one.astype(np.float64) for one, _ in found], axis=0)
    confusion = np.zeros((len(CLASSES), len(CLASSES)), dtype=np.int64)
    np.add.at(confusion, (labels, mean.argmax(axis=1)), 1)
    return {"runs": len(found), "confusion": confusion.tolist()}


def choose(rows: Sequence[Row], top: int, front: Sequence[Row] = ()) -> dict[str, dict[str, Any]]:
    """Return the baseline and the `top` best distinct configurations of a search.

    Args:
        rows: trials of the search with their attribute `config`; others are left out.
        top: number of configurations in addition to the baseline.
        front: front of a search with several objectives; if given, only its trials are chosen.

    Returns:
        `TrainConfig` fields without the seed, by a label such as "trial 7"; "baseline" first.

    Raises:
        UsageError: the baseline is not complete.
    """
    trained = [row for row in rows if "config" in row]
    baseline = baseline_row(trained)
    if baseline is None:
        raise UsageError(
            "The baseline trial of this study is not complete. Continue the study, then confirm it."
        )
    chosen = {BASELINE_LABEL: without_seed(baseline["config"])}
    complete = [row for row in finished_rows(trained) if row["state"] == "complete"]
    if front:
        complete = [row for row in front if "config" in row]
    for row in sorted(complete, key=lambda row: -row["value"]):
        fields = without_seed(row["config"])
        if fields not in chosen.values() and len(chosen) <= top:
            chosen[f"trial {row['number']}"] = fields
    return chosen
