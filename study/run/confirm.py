"""`study confirm`: winners of a search against the baseline, on fresh seeds and the test part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState
from rich.console import Console

from ecg.errors import UsageError
from ecg.heartbeats import CLASSES
from study.run.command import run_cells
from study.run.options import RunOptions, check_options
from study.run.planned_runs import plan_cells
from study.run.setting import resolve_setting
from study.storage.artifacts import artifact_folder, read_probabilities
from study.storage.confirmation import (
    BASELINE,
    CONFIRMATION,
    Confirmation,
    confirming_name,
    confirming_space,
    without_seed,
)
from study.storage.reading import Row, baseline_row, finished_rows, read_study
from study.storage.studies import check_format, find_identity, load_study, open_storage, study_lock
from study.trials.pruning import PruningPolicy

SEED_SHIFT = 1_000_003  # fresh seeds: none that the search may have derived


@dataclass(frozen=True, kw_only=True)
class ConfirmOptions:
    """The options of `study confirm`, as typed."""

    study: str
    top: int
    seeds: int
    storage: str
    data: str
    device: str
    precision: str = "auto"
    jobs: int | None
    threads: int = 1
    checkpoint_seconds: float
    debug: bool


def confirm_study(options: ConfirmOptions, console: Console) -> Confirmation:
    """Train the best configurations and the baseline on fresh seeds; compare them on the test.

    Where none is typed, device and precision are those of the search.

    Args:
        options: what was typed.
        console: where to print on the way.

    Returns:
        What was found so far, by all confirmations of this search together.

    Raises:
        UsageError: the study has no finished trial or no baseline, or the data is another.
    """
    storage = open_storage(options.storage, create=False)
    study = load_study(storage, options.study)
    identity = find_identity(study)
    check_format(options.study, identity)
    if options.top <= 0:
        raise UsageError(f"--top must be at least 1, not {options.top}")
    rows = read_study(options.storage, options.study, {"baseline", "config"}).rows
    chosen = choose(rows, options.top)
    run_options = RunOptions(
        space=confirming_space(options.study),
        trials=None,
        seeds=options.seeds,
        timeout=None,
        study=confirming_name(options.study),
        storage=options.storage,
        data=options.data,
        split=identity["split"],
        budget=identity["budget"],
        device=identity["device"] if options.device == "auto" else options.device,
        precision=identity["precision"] if options.precision == "auto" else options.precision,
        seed=identity["seed"] + SEED_SHIFT,
        jobs=options.jobs,
        threads=options.threads,
        sampler="random",
        pruning=PruningPolicy(pruner="none"),
        checkpoint_seconds=options.checkpoint_seconds,
        debug=options.debug,
    )
    check_options(run_options)
    setting = resolve_setting(run_options, run_options.space, console)
    if setting.fingerprint != identity["data"]:
        raise UsageError(
            f"the study '{options.study}' was made with other data ({identity['source']}, "
            f"{identity['data'][:12]}) than this ({setting.source}, "
            f"{setting.fingerprint[:12]}); name its data with --data"
        )
    cells = plan_cells(chosen.values(), options.seeds, setting.budget, run_options.seed)
    reason = f"confirming the winners of '{options.study}'"
    try:
        run_cells(
            run_options, setting, cells, kind=run_options.space, reason=reason, console=console
        )
    finally:  # what is trained so far stays found
        keep_confirmation(options.storage, confirming_name(options.study), chosen)
    found = read_study(options.storage, confirming_name(options.study), {CONFIRMATION}).confirmation
    assert found is not None
    return found


def keep_confirmation(url: str, name: str, chosen: Mapping[str, dict[str, Any]]) -> None:
    """Store which configurations a study confirms, and their ensembles, as its attribute.

    Those of earlier confirmations of the same search are kept: all that was tried is one family
    of tests.

    Args:
        url: of the database.
        name: of the study that confirms; nothing is stored where there is none.
        chosen: as `choose` returns them.
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
    """Return what the mean of the seeds' probabilities predicts on the test part.

    Args:
        study: that confirms.
        fields: of the configuration, without its seed.
        folder: of the artifacts.

    Returns:
        The number of `runs` and the `confusion` matrix; None for fewer than two runs whose
        probabilities are kept.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    mine = {
        trial.user_attrs["cell"]["repeat"]: trial
        for trial in complete
        if without_seed(trial.user_attrs["config"]) == dict(fields)
    }
    read = [read_probabilities(trial, folder) for trial in mine.values()]
    found = [one for one in read if one is not None]
    if len(found) < 2:
        return None
    labels = found[0][1]
    mean = np.mean([one.astype(np.float64) for one, _ in found], axis=0)
    confusion = np.zeros((len(CLASSES), len(CLASSES)), dtype=np.int64)
    np.add.at(confusion, (labels, mean.argmax(axis=1)), 1)
    return {"runs": len(found), "confusion": confusion.tolist()}


def choose(rows: Sequence[Row], top: int) -> dict[str, dict[str, Any]]:
    """Return the baseline and the `top` best distinct configurations of a search.

    Args:
        rows: trials of the search, with their attribute `config`; those without one are left out.
        top: number of configurations beside the baseline.

    Returns:
        `TrainConfig` fields, seed left out, by a name such as "trial 7"; "baseline" first.

    Raises:
        UsageError: the baseline is not complete.
    """
    trained = [row for row in rows if "config" in row]
    baseline = baseline_row(trained)
    if baseline is None:
        raise UsageError("the baseline trial of this study is not complete; run the study on")
    chosen = {BASELINE: without_seed(baseline["config"])}
    complete = [row for row in finished_rows(trained) if row["state"] == "complete"]
    for row in sorted(complete, key=lambda row: -row["value"]):
        fields = without_seed(row["config"])
        if fields not in chosen.values() and len(chosen) <= top:
            chosen[f"trial {row['number']}"] = fields
    return chosen
