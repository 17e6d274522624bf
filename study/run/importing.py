"""`import-results`: take runs from results files into a study, which then continues from them."""

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
from ecg.metrics import SCORES, objective_on_split, per_class, scores
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
from study.wording import counted

KNOWN = {"space": (ALL_TABLES,), "split": tuple(SPLITS), "budget": tuple(BUDGETS),
         "device": ("cpu", "cuda"), "precision": PRECISIONS}  # fmt: skip
ENDED = {"complete": TrialState.COMPLETE, "fail": TrialState.FAIL}


@dataclass(frozen=True)
class ImportedRun:
    """One run of a results file.

    Attributes:
        planned: its configuration and seed.
        state: complete or failed.
        attributes: the attributes of its trial.
        result: its epochs, None without curves.
    """

    planned: PlannedRun
    state: TrialState
    attributes: Mapping[str, Any]
    result: TrainResult | None


@dataclass(frozen=True)
class Results:
    """The content of a results file, checked.

    Attributes:
        path: path of the file.
        study: name of the study that it goes into.
        identity: the identity that the study must have.
        runs: the runs that have ended.
        unfinished: the number of runs that have not ended.
    """

    path: Path
    study: str
    identity: Identity
    runs: Sequence[ImportedRun]
    unfinished: int


def import_files(files: Sequence[Path], storage: str, study: str | None) -> Iterator[str]:
    """Import the runs of results files into studies, after all files have been checked.

    If the command is killed halfway, the same command does the rest: it skips runs that the study
    has.

    Args:
        files: see `study.storage.results.write_results`.
        storage: URL of the database.
        study: name of the study; None for the name that `run` would choose.

    Yields:
        What was imported, one line per fact.

    Raises:
        UsageError: a file is invalid, or does not fit its study; nothing was imported.
        StorageError: the database cannot be read or written.
    """
    try:
        checked = [_check_file(file, study) for file in files]
    except DataError as error:
        raise UsageError(f"{str(error).removesuffix('.')}. Nothing was imported.") from None
    for results in checked:
        if stored := read_identity(storage, results.study):
            check_identity(results.study, stored, results.identity)
        first = next(other for other in checked if other.study == results.study)
        if differences := results.identity.differences(vars(first.identity)):
            raise UsageError(
                f"{first.path} and {results.path} cannot go into one study: "
                f"{'; '.join(differences)}. Nothing was imported. Import them one by one, with "
                "different --study names."
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
        raise DataError(f"{path} has no runs")
    shared = {name: shared_value(table, name) for name in SHARED}
    if missing := [name for name, value in shared.items() if value is None]:
        raise DataError(f"{path} has no value in the columns {', '.join(missing)}")
    values = {name: str(value) for name, value in shared.items()}
    protocol = protocol_of(values["split"])
    if values["protocol"] != str(protocol):
        raise DataError(
            f"{path} has runs of protocol {values['protocol']}, and this version trains by "
            f"protocol {protocol}, so they cannot be in one study. Render them with export-tables "
            "--results, or train them again"
        )
    for name, known in KNOWN.items():
        is_listed = name == "split" and LISTED.fullmatch(values[name])
        if values[name] not in known and not is_listed:
            raise DataError(
                f"{path}: {name} is '{values[name]}'. Only these can be imported: "
                f"{', '.join(known)}."
            )
    identity = Identity(
        space=ALL_TABLES,
        space_digest="",
        objective=objective_on_split(RUNS_OBJECTIVE, by_patient=is_by_patient(values["split"])),
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
    """Return the curves beside a results file by configuration and repeat, if there are any."""
    beside = path.with_name(CURVES_FILE)
    if not beside.exists():
        return {}
    try:
        recording = read_recording(beside)
    except UsageError as error:
        raise DataError(str(error)) from None
    if differences := identity.differences(recording.identity):
        raise DataError(
            f"{beside} does not belong to the runs in {path.name}: {'; '.join(differences)}. "
            "Export both again, or import without the curves"
        )
    return {trial.run: trial for trial in recording.trials if trial.run is not None}


def _check_run(
    row: Mapping[str, Any],
    path: Path,
    identity: Identity,
    curves: Mapping[tuple[str, int], RecordedTrial],
) -> ImportedRun:
    """Return a row as a run of the study.

    Raises:
        DataError: the row is not a run that the study would train, or contradicts its curves.
    """
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
            f"{where}: the configuration or the seed was changed; the study would not train this "
            "run"
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
    return ImportedRun(planned, ENDED[row["state"]], attributes, result)


def _attributes(row: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the attributes of a trained run from a row."""
    others = {*SCORE_COLUMNS, "space", "study_seed"}
    names = [name for name in (*LAST, *OPTIONAL) if name not in others]
    found = {name: row[name] for name in names if row.get(name) is not None}
    found |= {"seed": row["seed"], "imported": str(path)}
    for part in ("validation", "test"):
        stored = {score: row[f"{part}_{score}"] for score in SCORES}
        if any(value is not None for value in stored.values()):
            found[part] = stored
            if (confusion := row[MATRICES[part]]) is not None:  # it gives scores not in the file
                found[part] = scores(confusion) | stored
    if "confusion" in found:
        found["per_class"] = {k: v.tolist() for k, v in per_class(found["confusion"]).items()}
    if "test_confusion" in found:
        found["test_read"] = {"at": row["finished_at"], "reason": TABLES_REASON}
    return found


def _take(run: ImportedRun, study: optuna.Study, storage: RDBStorage) -> str:
    """Add a run to its study unless the study has it; call this under the lock.

    Returns:
        "taken", or the state in which the study has the run.
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


def _as_trial(run: ImportedRun, planned: FrozenTrial) -> FrozenTrial:
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
    with suppress(ValueError, TypeError):  # a run may not say when it ended
        ended = datetime.fromisoformat(run.attributes.get("finished_at", "")).astimezone()
        trial.datetime_complete = ended.replace(tzinfo=None)
        trial.datetime_start = trial.datetime_complete - timedelta(
            seconds=run.attributes["seconds"]
        )
    return trial


def _objective(run: ImportedRun) -> str:
    return objective_on_split(RUNS_OBJECTIVE, by_patient=is_by_patient(run.attributes["split"]))


def _reported(run: ImportedRun) -> dict[int, float]:
    """Return the values that a trained run reports to Optuna, by epoch; see `MonitoredCurve`."""
    if run.result is None:
        return {}
    epochs = run.result.epochs
    best = [epochs[epoch.best_epoch - 1].scores[_objective(run)] for epoch in epochs]
    best += [best[-1]] * (run.planned.config.max_epochs - len(best))
    return dict(enumerate(best, start=1))


def _say(results: Results, counts: Counter[str], *, is_new: bool) -> Iterator[str]:
    yield (
        f"{'new study' if is_new else 'study'} '{results.study}': imported "
        f"{counted(counts.get('taken', 0), 'run')} from {results.path}"
    )
    skipped = {
        "complete": "already complete in the study",
        "running": "being trained now",
        "known": "failed, and already in the study",
    }
    yield from (
        f"skipped {counts[state]}: {reason}" for state, reason in skipped.items() if counts[state]
    )
    if results.unfinished:
        yield f"skipped {results.unfinished}: not finished in the file"
    without = sum(r.result is None for r in results.runs if r.state == TrialState.COMPLETE)
    if without:
        yield (
            f"{without} without learning curves, which {results.path.with_name(CURVES_FILE)} does "
            "not have. Their scores are complete, but their curves cannot be plotted or replayed."
        )
