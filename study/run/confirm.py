"""`study confirm`: winners of a search against the baseline, on fresh seeds and the test part."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.console import Console

from ecg.errors import UsageError
from ecg.record_lists import from_text
from study.run.command import run_cells
from study.run.options import RunOptions, check_options
from study.run.planned_runs import plan_cells
from study.run.setting import resolve_setting
from study.storage.studies import check_format, find_identity, load_study, open_storage
from study.storage.trials_table import study_records
from study.storage.weights import KEEP
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
    keep: str = KEEP[0]
    debug: bool


def confirm_study(
    options: ConfirmOptions, console: Console
) -> tuple[pd.DataFrame, dict[str, dict[str, Any]]]:
    """Train the best configurations and the baseline on fresh seeds; compare them on the test.

    Where none is typed, device and precision are those of the search.

    Args:
        options: what was typed.
        console: where to print on the way.

    Returns:
        The trials of the confirmation, and the configurations compared, as `choose` returns them.

    Raises:
        UsageError: the study has no finished trial or no baseline, or the data is another.
    """
    storage = open_storage(options.storage, create=False)
    study = load_study(storage, options.study)
    identity = find_identity(study)
    check_format(options.study, identity)
    if options.top <= 0:
        raise UsageError(f"--top must be at least 1, not {options.top}")
    chosen = choose(study_records(study), options.top)
    run_options = RunOptions(
        space=f"confirm:{options.study}",
        trials=None,
        seeds=options.seeds,
        timeout=None,
        study=f"{options.study}-confirm",
        storage=options.storage,
        data=options.data,
        split=identity["split"],
        records=from_text(identity["records"]) if identity.get("records") else None,
        budget=identity["budget"],
        device=identity["device"] if options.device == "auto" else options.device,
        precision=identity["precision"] if options.precision == "auto" else options.precision,
        seed=identity["seed"] + SEED_SHIFT,
        jobs=options.jobs,
        threads=options.threads,
        sampler="random",
        pruning=PruningPolicy(pruner="none"),
        checkpoint_seconds=options.checkpoint_seconds,
        keep=options.keep,
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
    name = run_cells(
        run_options, setting, cells, kind=run_options.space, reason=reason, console=console
    )
    return study_records(load_study(storage, name)), chosen


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
