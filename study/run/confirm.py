"""`study confirm`: winners of a search against the baseline, on fresh seeds and the test part."""

from dataclasses import replace
from typing import Any

import pandas as pd
from rich.console import Console

from ecg.budget import find_budget
from ecg.errors import UsageError
from ecg.training import find_device
from ecg.training.config import PROTOCOL
from study.run.command import run_planned
from study.run.options import MOST_SEEDS
from study.run.planned_runs import RUNS_OBJECTIVE, plan_runs
from study.run.setting import check_split, load_data, resolve_means
from study.storage.studies import Identity, check_format, find_identity, load_study, open_storage
from study.storage.trials_table import study_records
from study.trials.task import Machine, PlannedRuns, Task, check_range

SEED_SHIFT = 1_000_003  # fresh seeds: none that the search may have derived


def confirm_study(
    machine: Machine, study: str, top: int, seeds: int, console: Console
) -> tuple[pd.DataFrame, dict[str, dict[str, Any]]]:
    """Train the best configurations and the baseline on fresh seeds; compare them on the test.

    Args:
        machine: as typed; device and precision are those of the search where none is typed.
        study: name of the search.
        top: so many of the best configurations.
        seeds: fresh seeds of each.
        console: where to print on the way.

    Returns:
        The trials of the confirmation, and the configurations compared, as `choose` returns them.

    Raises:
        UsageError: the study has no finished trial or no baseline, or the data is another.
    """
    check_range("top", top, 1)
    check_range("seeds", seeds, 1, MOST_SEEDS)
    storage = open_storage(machine.storage, create=False)
    search = load_study(storage, study)
    stored = find_identity(search)
    check_format(study, stored)
    chosen = choose(study_records(search), top)
    machine = replace(
        machine,
        device=stored["device"] if machine.device == "auto" else machine.device,
        precision=stored["precision"] if machine.precision == "auto" else machine.precision,
    )
    machine, beats = load_data(machine, console)
    if beats.fingerprint != stored["data"]:
        raise UsageError(
            f"the study '{study}' was made with other data ({stored['source']}, "
            f"{stored['data'][:12]}) than this ({beats.source}, "
            f"{beats.fingerprint[:12]}); name its data with --data"
        )
    machine = resolve_means(machine, {}, console)
    identity = Identity(
        **{
            **stored,
            "space": f"confirm:{study}",
            "space_digest": "",
            "objective": RUNS_OBJECTIVE,
            "device": find_device(machine.device).type,
            "precision": machine.precision,
            "protocol": PROTOCOL,
            "seed": stored["seed"] + SEED_SHIFT,
        }
    )
    check_split(identity.split, beats, identity.record_lists, console)
    runs = plan_runs(chosen.values(), seeds, find_budget(identity.budget), identity.seed)
    goal = PlannedRuns(
        keys=frozenset(run.key for run in runs), reason=f"confirming the winners of '{study}'"
    )
    task = Task(machine=machine, study=f"{study}-confirm", identity=identity, goal=goal)
    run_planned(task, runs, beats, console)
    return study_records(load_study(storage, task.study)), chosen


def choose(records: pd.DataFrame, top: int) -> dict[str, dict[str, Any]]:
    """Return the baseline and the `top` best distinct configurations of a search.

    Returns:
        `TrainConfig` fields, seed left out, by a name such as "trial 7"; "baseline" first.

    Raises:
        UsageError: the baseline is not complete.
    """
    complete = records[records["state"] == "complete"].sort_values("value", ascending=False)
    baseline = complete[complete["baseline"].astype(bool)]
    if baseline.empty:
        raise UsageError("the baseline trial of this study is not complete; run the study on")
    chosen = {"baseline": _fields(baseline.iloc[0])}
    for _, record in complete.iterrows():
        fields = _fields(record)
        if fields not in chosen.values() and len(chosen) <= top:
            chosen[f"trial {record['number']}"] = fields
    return chosen


def _fields(record: pd.Series) -> dict[str, Any]:
    fields: dict[str, Any] = dict(record["config"])
    fields.pop("seed")
    return fields
