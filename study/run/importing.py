"""`import-results`: runs of results files are taken into a study, which then goes on from them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from ecg.budget import BUDGETS
from ecg.errors import DataError, EcgError, UsageError
from ecg.metrics import SCORES, objective_of, per_class, scores
from ecg.record_lists import LISTED
from ecg.splits import SPLITS, is_by_patient, protocol_of
from ecg.training import TrainConfig, TrainResult
from ecg.training.precision import PRECISIONS
from search_spaces.tables import ALL_TABLES
from study.run.planned_runs import (
    RUNS_OBJECTIVE,
    TABLES_REASON,
    PlannedRun,
    plan_run,
    planned_trial,
    shown_parameters,
)
from study.storage.artifacts import entries_on_demand
from study.storage.attributes import key_of
from study.storage.ids import trial_id
from study.storage.notes import save_note, trial_note
from study.storage.reading import read_identity
from study.storage.recordings import RecordedTrial, read_recording
from study.storage.results import (
    CURVES_FILE,
    LAST,
    OPTIONAL,
    SCORE_COLUMNS,
    read_results,
    rows_of_results,
)
from study.storage.results_checks import MATRICES, SHARED, shared_value
from study.storage.studies import (
    Identity,
    check_identity,
    default_name,
    open_storage,
    open_study,
    study_lock,
)
from study.trials.replay import follow
from study.trials.trial import describe_result

KNOWN = {"space": (ALL_TABLES,), "split": tuple(SPLITS), "budget": tuple(BUDGETS),
         "device": ("cpu", "cuda"), "precision": PRECISIONS}  # fmt: skip
ENDED = {"complete": TrialState.COMPLETE, "fail": TrialState.FAIL}


@dataclass(frozen=True)
class Run:
    """One run of a file.

    Attributes:
        planned: configuration and seed.
        state: complete or failed.
        attributes: of its trial.
        result: its epochs, None without curves.
    """

    planned: PlannedRun
    state: TrialState
    attributes: Mapping[str, Any]
    result: TrainResult | None


@dataclass(frozen=True)
class Results:
    """What a results file holds for a study.

    Attributes:
        path: of the file.
        study: name of the study it goes to.
        identity: what that study must be.
        runs: that have ended.
        unfinished: number of runs of the file that have not.
    """

    path: Path
    study: str
    identity: Identity
    runs: Sequence[Run]
    unfinished: int


def import_files(files: Sequence[Path], storage: str, study: str | None) -> Iterator[str]:
    """Take the runs of results files into studies; all files are checked before any is taken.

    Killed halfway, the same command does the rest: a run that the study has is not taken again.

    Args:
        files: see `study.storage.results.write_results`.
        storage: URL.
        study: name; None for the one that `run` would give it.

    Yields:
        What was taken, a line per fact.

    Raises:
        UsageError: a file is not what it should be, or does not fit its study; nothing was taken.
        StorageError: the database cannot be read or written.
    """
    try:
        checked = [_check_file(file, study) for file in files]
    except DataError as error:
        raise UsageError(f"{error}. Nothing was imported") from None
    for results in checked:
        if stored := read_identity(storage, results.study):
            check_identity(results.study, stored, results.identity)
        first = next(other for other in checked if other.study == results.study)
        if differences := results.identity.differences(vars(first.identity)):
            raise UsageError(
                f"{first.path} and {results.path} cannot go into one study: "
                f"{'; '.join(differences)}. Nothing was imported. Import them one by one, each "
                "with its own --study"
            )
    opened = open_storage(storage)
    for results in checked:
        with study_lock(opened, results.study):
            found, is_new = open_study(opened, results.study, results.identity)
            counts = Counter(_take(run, found, opened) for run in results.runs)
        yield from _say(results, counts, is_new=is_new)


def _check_file(path: Path, study: str | None) -> Results:
    table = read_results(path)
    if table.empty:
        raise DataError(f"{path} holds no run")
    shared = {name: shared_value(table, name) for name in SHARED}
    if missing := [name for name, value in shared.items() if value is None]:
        raise DataError(f"{path} has no value in the columns {', '.join(missing)}")
    values = {name: str(value) for name, value in shared.items()}
    protocol = protocol_of(values["split"])
    if values["protocol"] != str(protocol):
        raise DataError(
            f"{path} holds runs of protocol {values['protocol']}, and this version trains by "
            f"protocol {protocol}: they cannot stand in one study. Render them with export-tables "
            "--results, or train them again"
        )
    for name, known in KNOWN.items():
        is_listed = name == "split" and LISTED.fullmatch(values[name])
        if values[name] not in known and not is_listed:
            raise DataError(
                f"{path}: {name} is '{values[name]}', and only {', '.join(known)} can be imported"
            )
    identity = Identity(
        space=ALL_TABLES,
        space_digest="",
        objective=objective_of(RUNS_OBJECTIVE, by_patient=is_by_patient(values["split"])),
        source=values["source"],
        data=values["data"],
        split=values["split"],
        budget=values["budget"],
        device=values["device"],
        precision=values["precision"],
        protocol=protocol,
        seed=int(values["study_seed"]),
    )
    name = study or default_name(ALL_TABLES, identity.source, identity.split, identity.budget)
    curves = _read_curves(path, identity)
    rows = list(rows_of_results(table))
    ended = [row for row in rows if row["state"] in ENDED]
    runs = [_check_run(row, path, identity, curves) for row in ended]
    return Results(path, name, identity, runs, len(rows) - len(ended))


def _read_curves(path: Path, identity: Identity) -> dict[tuple[str, int], RecordedTrial]:
    """Return the curves beside a results file by configuration and repeat; empty without a file."""
    beside = path.with_name(CURVES_FILE)
    if not beside.exists():
        return {}
    try:
        recording = read_recording(beside)
    except UsageError as error:
        raise DataError(str(error)) from None
    if differences := identity.differences(recording.identity):
        raise DataError(
            f"{beside} is not of the runs in {path.name}: {'; '.join(differences)}. Export both "
            "again, or import without the curves"
        )
    return {trial.run: trial for trial in recording.trials if trial.run is not None}


def _check_run(
    row: Mapping[str, Any],
    path: Path,
    identity: Identity,
    curves: Mapping[tuple[str, int], RecordedTrial],
) -> Run:
    """Return a row as a run of the study, whose plan it must fit."""
    where = f"{path}: planned run {row['configuration']}, repeat {row['repeat']}"
    fields = {k.removeprefix("config_"): v for k, v in row.items() if k.startswith("config_")}
    try:
        config = TrainConfig.from_fields(fields)
        planned = plan_run(config, row["repeat"], BUDGETS[identity.budget], identity.seed)
    except (EcgError, TypeError) as error:
        raise DataError(f"{where}: {error}") from None
    if (config, row["seed"], row["configuration"]) != (
        planned.config,
        planned.config.seed,
        planned.configuration,
    ):
        raise DataError(
            f"{where}: configuration and seed are not those that the study would train; one of "
            "them was changed"
        )
    if row["state"] == "complete":
        for name in ("best_epoch", "last_epoch", "stop_reason", "seconds", "finished_at"):
            if row[name] is None:
                raise DataError(f"{where}: it is complete but has no {name}")
    attributes = {**_attributes(row, path), "config": config.to_fields()}
    result = None
    if row["state"] == "complete" and (recorded := curves.get(planned.key)) is not None:
        result = follow(recorded, config, lambda _: None)
        found = describe_result(result)
        for name in ("confusion", "best_epoch", "last_epoch", "stop_reason"):
            stored = found[name] if name != "confusion" else [list(r) for r in found[name]]
            if stored != row[name]:
                raise DataError(
                    f"{where}: {name} differs from what its curves in {CURVES_FILE} give"
                )
        attributes["curves"] = found["curves"]
    return Run(planned, ENDED[row["state"]], attributes, result)


def _attributes(row: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return what a row tells, as the attributes that a trained run has."""
    others = {*SCORE_COLUMNS, "space", "study_seed"}
    names = [name for name in (*LAST, *OPTIONAL) if name not in others]
    found = {name: row[name] for name in names if row.get(name) is not None}
    found |= {"seed": row["seed"], "imported": str(path)}
    for part in ("validation", "test"):
        stored = {score: row[f"{part}_{score}"] for score in SCORES}
        if any(value is not None for value in stored.values()):
            found[part] = stored
            if (confusion := row[MATRICES[part]]) is not None:  # which has what a file has not
                found[part] = scores(confusion) | stored
    if "confusion" in found:
        found["per_class"] = {k: v.tolist() for k, v in per_class(found["confusion"]).items()}
    if "test_confusion" in found:
        found["test_read"] = {"at": row["finished_at"], "reason": TABLES_REASON}
    return found


def _take(run: Run, study: optuna.Study, storage: RDBStorage) -> str:
    """Add a run to its study, unless it is there; call it under the lock.

    Returns:
        "taken", or in which state the study has it.
    """
    trials = [t for t in study.get_trials(deepcopy=False) if key_of(t) == run.planned.key]
    states = {trial.state for trial in trials}
    if TrialState.COMPLETE in states:
        return "complete"
    if TrialState.RUNNING in states:
        return "running"
    if run.state == TrialState.FAIL and trials:
        return "known"
    for trial in trials:
        if trial.state == TrialState.WAITING:
            storage.set_trial_user_attr(trial_id(trial), "failure", "imported instead")
            storage.set_trial_state_values(trial_id(trial), TrialState.FAIL)
    shown = shown_parameters(study)
    planned = planned_trial(run.planned, shown, max((t.number for t in trials), default=None))
    added = _as_trial(run, planned)
    study.add_trial(added)
    if run.state == TrialState.COMPLETE:
        number = max(t.number for t in study.get_trials(deepcopy=False))
        note = trial_note(run.attributes, added.params, RUNS_OBJECTIVE)
        save_note(study, number, note)
    return "taken"


def _as_trial(run: Run, planned: FrozenTrial) -> FrozenTrial:
    complete = run.state == TrialState.COMPLETE
    attributes = {**planned.user_attrs, **run.attributes}
    if "again" in attributes:
        attributes["again"] = {**attributes["again"], "reason": "imported"}
    trial = optuna.create_trial(
        state=run.state,
        value=run.attributes["validation"][_objective(run)] if complete else None,
        params=planned.params,
        distributions=planned.distributions,
        user_attrs=attributes,
        system_attrs={} if run.result is None else entries_on_demand(),
        intermediate_values=_reported(run),
    )
    with suppress(ValueError, TypeError):  # of a run that does not say when it ended
        ended = datetime.fromisoformat(run.attributes.get("finished_at", "")).astimezone()
        trial.datetime_complete = ended.replace(tzinfo=None)
        trial.datetime_start = trial.datetime_complete - timedelta(
            seconds=run.attributes["seconds"]
        )
    return trial


def _objective(run: Run) -> str:
    return objective_of(RUNS_OBJECTIVE, by_patient=is_by_patient(run.attributes["split"]))


def _reported(run: Run) -> dict[int, float]:
    """Return what a trained run reports to Optuna, see `study.trials.pruning.MonitoredCurve`."""
    if run.result is None:
        return {}
    epochs = run.result.epochs
    best = [epochs[epoch.best_epoch - 1].scores[_objective(run)] for epoch in epochs]
    best += [best[-1]] * (run.planned.config.max_epochs - len(best))
    return dict(enumerate(best, start=1))


def _say(results: Results, counts: Mapping[str, int], *, is_new: bool) -> Iterator[str]:
    yield (
        f"{'new study' if is_new else 'study'} '{results.study}': {counts.get('taken', 0)} runs "
        f"taken from {results.path}"
    )
    told = {
        "complete": "already complete in the study",
        "running": "being trained right now, left to its worker",
        "known": "failed, and already known to the study",
    }
    yield from (f"{counts[state]} {text}" for state, text in told.items() if counts.get(state))
    if results.unfinished:
        yield f"{results.unfinished} not finished in the file, left out"
    without = sum(r.result is None for r in results.runs if r.state == TrialState.COMPLETE)
    if without:
        yield (
            f"{without} without learning curves: {results.path.with_name(CURVES_FILE)} has none of "
            "them. Their scores are whole; their curves cannot be drawn or replayed"
        )
