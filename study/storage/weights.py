"""Which trials keep their weights: all, or the best ten and the baseline."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import TrialSystemAttributeModel, TrialUserAttributeModel
from optuna.trial import FrozenTrial, TrialState

from ecg.errors import EcgError, UsageError
from study.storage.artifacts import ENTRY, WEIGHTS, artifact_folder, file_of
from study.storage.studies import load_study, open_storage, study_lock
from study.wording import counted

KEEP = ("best", "all")
BEST_KEPT = 10  # trials, beside the baseline
KEEP_ATTRIBUTE = "keep"  # of a study: as its last `run` was typed
KEPT_ATTRIBUTE = "weights"  # of a trial: whether they are kept


@dataclass(frozen=True)
class Cleaned:
    """What `clean_study` did: the trials by number, and the bytes that were freed."""

    kept: tuple[int, ...]
    removed: tuple[int, ...]
    freed: int


def check_keep(keep: str) -> None:
    """Refuse a rule that is not known.

    Raises:
        UsageError: names those that are.
    """
    if keep not in KEEP:
        raise UsageError(f"unknown rule --keep {keep}; known: {', '.join(KEEP)}")


def settle_keep(study: optuna.Study, keep: str | None) -> str:
    """Return the rule of a study: the one given, else the stored one; store it with the study."""
    stored = study.user_attrs.get(KEEP_ATTRIBUTE, KEEP[0])
    if keep is not None and keep != stored:
        study.set_user_attr(KEEP_ATTRIBUTE, keep)
    return str(stored if keep is None else keep)


def is_kept(keep: str, value: float, others: Iterable[float], *, is_baseline: bool) -> bool:
    """Whether a trial that ends now keeps its weights.

    Args:
        keep: one of `KEEP`.
        value: the objective of the trial.
        others: that of every complete trial.
        is_baseline: whether the trial is the baseline.
    """
    return keep == "all" or is_baseline or sum(other >= value for other in others) < BEST_KEPT


def kept_trials(keep: str, trials: Iterable[FrozenTrial]) -> set[int]:
    """Return the numbers of the trials whose weights stay, once all have ended.

    Args:
        keep: one of `KEEP`.
        trials: of a study, in any state.
    """
    complete = [t for t in trials if t.state == TrialState.COMPLETE and t.values is not None]
    if keep == "all":
        return {trial.number for trial in complete}
    # Only trials that were trained have weights: one that repeats another takes no place.
    trained = [trial for trial in complete if "same_as" not in trial.user_attrs]
    trained.sort(key=lambda trial: (-trial.values[0], trial.number))
    baselines = {trial.number for trial in trained if trial.user_attrs.get("baseline")}
    return {trial.number for trial in trained[:BEST_KEPT]} | baselines


def clean_study(url: str, name: str, keep: str | None = None) -> Cleaned:
    """Remove the weights that a study does not keep.

    Args:
        url: of the database.
        name: of the study.
        keep: one of `KEEP`; None for the rule of the study's last `run`.

    Raises:
        UsageError: there is no such study, or the rule is not known.
        EcgError: a file cannot be removed.
    """
    if keep is not None:
        check_keep(keep)
    storage = open_storage(url, create=False, lean=True)
    study, folder = load_study(storage, name), artifact_folder(url)
    with study_lock(storage, name):
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        kept = kept_trials(keep or study.user_attrs.get(KEEP_ATTRIBUTE, KEEP[0]), trials)
        files = {
            trial.number: file for trial in trials if (file := file_of(trial, WEIGHTS)) is not None
        }
        gone = [trial for trial in trials if trial.number in files.keys() - kept]
        freed = sum(_remove(folder / files[trial.number]) for trial in gone)
        _forget(storage, gone)
    return Cleaned(
        kept=tuple(sorted(files.keys() & kept)),
        removed=tuple(trial.number for trial in gone),
        freed=freed,
    )


def say_cleaned(study: str, cleaned: Cleaned) -> str:
    """Return a line for a person."""
    kept = ", ".join(map(str, cleaned.kept)) or "none"
    return (
        f"{study}: removed the weights of {counted(len(cleaned.removed), 'trial')} "
        f"({cleaned.freed / 1e6:.1f} MB); trials that have theirs: {kept}"
    )


def _remove(path: Path) -> int:
    """Remove a file, if it is there, and return the bytes it had.

    Raises:
        EcgError: it cannot be removed.
    """
    size = 0
    try:
        with suppress(FileNotFoundError):
            size = path.stat().st_size
            path.unlink()
    except OSError as error:
        raise EcgError(
            f"cannot remove {path}: {error.strerror or error}. Change its permissions, then run "
            "the same command again."
        ) from None
    return size


def _forget(storage: RDBStorage, gone: Collection[FrozenTrial]) -> None:
    """Let trials that have ended no longer name their weights."""
    user, system = TrialUserAttributeModel, TrialSystemAttributeModel
    with storage.engine.begin() as connection:
        for trial in gone:
            connection.execute(
                sqlalchemy.delete(system).where(
                    system.trial_id == trial._trial_id,
                    system.key == f"{ENTRY}{file_of(trial, WEIGHTS)}",
                )
            )
            connection.execute(
                sqlalchemy.update(user)
                .where(user.trial_id == trial._trial_id, user.key == KEPT_ATTRIBUTE)
                .values(value_json="false")
            )
