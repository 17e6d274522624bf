"""Which trials keep their weights: all, or the best ten and the baseline."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import TrialSystemAttributeModel, TrialUserAttributeModel
from optuna.trial import FrozenTrial, TrialState

from ecg.errors import EcgError, UsageError, use_one_of
from study.storage.artifacts import ENTRY, WEIGHTS, artifact_folder, file_of
from study.storage.attributes import BASELINE
from study.storage.front import directions_of, find_front
from study.storage.studies import load_study, open_storage, study_lock
from study.wording import counted

KEEP = ("best", "all")
BEST_KEPT = 10  # trials, in addition to the baseline
KEEP_ATTRIBUTE = "keep"  # of a study: the rule of its last `run`
KEPT_ATTRIBUTE = "weights"  # of a trial: whether its weights are kept


@dataclass(frozen=True)
class Cleaned:
    """What `clean_study` did: numbers of trials, and the number of bytes freed."""

    kept: tuple[int, ...]
    removed: tuple[int, ...]
    freed: int


def check_keep(keep: str) -> None:
    """Refuse an unknown rule.

    Raises:
        UsageError: the rule is unknown; the message lists the known ones.
    """
    if keep not in KEEP:
        raise UsageError(f"unknown rule --keep {keep}. {use_one_of(KEEP)}")


def settle_keep(study: optuna.Study, keep: str | None) -> str:
    """Return the rule of a study: the one given, else the stored one; store it with the study."""
    stored = study.user_attrs.get(KEEP_ATTRIBUTE, KEEP[0])
    if keep is not None and keep != stored:
        study.set_user_attr(KEEP_ATTRIBUTE, keep)
    return str(stored if keep is None else keep)


def is_kept(
    keep: str,
    value: float,
    others: Iterable[float],
    *,
    is_baseline: bool,
    is_on_front: bool = False,
) -> bool:
    """Whether a trial that has just ended keeps its weights.

    Args:
        keep: one of `KEEP`.
        value: objective of the trial.
        others: objectives of all complete trials.
        is_baseline: whether the trial is the baseline.
        is_on_front: whether no trial beats it, where there are several objectives.
    """
    if keep == "all" or is_baseline or is_on_front:
        return True
    return sum(other >= value for other in others) < BEST_KEPT


def kept_trials(
    keep: str, trials: Iterable[FrozenTrial], directions: Sequence[str] = ("maximize",)
) -> set[int]:
    """Return the numbers of the trials whose weights are kept once all trials have ended.

    Args:
        keep: one of `KEEP`.
        trials: trials of a study, in any state.
        directions: directions of its objectives; with several the front is kept too.
    """
    complete = [t for t in trials if t.state == TrialState.COMPLETE and t.values is not None]
    if keep == "all":
        return {trial.number for trial in complete}
    # Only trained trials have weights, so a trial that repeats another one does not count.
    trained = [trial for trial in complete if "same_as" not in trial.user_attrs]
    trained.sort(key=lambda trial: (-trial.values[0], trial.number))
    baselines = {trial.number for trial in trained if trial.user_attrs.get(BASELINE)}
    kept = {trial.number for trial in trained[:BEST_KEPT]} | baselines
    if len(directions) > 1:
        is_on = find_front([trial.values for trial in trained], directions)
        kept |= {trial.number for trial, on in zip(trained, is_on, strict=True) if on}
    return kept


def clean_study(url: str, name: str, keep: str | None = None) -> Cleaned:
    """Delete the weights that a study does not keep.

    Args:
        url: database URL.
        name: name of the study.
        keep: one of `KEEP`; None for the rule of the study's last `run`.

    Raises:
        UsageError: there is no such study, or the rule is unknown.
        EcgError: a file cannot be deleted.
    """
    if keep is not None:
        check_keep(keep)
    storage = open_storage(url, create=False, lean=True)
    study, folder = load_study(storage, name), artifact_folder(url)
    with study_lock(storage, name):
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        rule = keep or study.user_attrs.get(KEEP_ATTRIBUTE, KEEP[0])
        kept = kept_trials(rule, trials, directions_of(study))
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
    """Return a line of output about what was deleted and kept."""
    kept = ", ".join(map(str, cleaned.kept)) or "none"
    return (
        f"{study}: deleted the weights of {counted(len(cleaned.removed), 'trial')} "
        f"({cleaned.freed / 1e6:.1f} MB). Trials with weights: {kept}."
    )


def _remove(path: Path) -> int:
    """Delete a file if it exists, and return its size in bytes.

    Raises:
        EcgError: the file cannot be deleted.
    """
    size = 0
    try:
        with suppress(FileNotFoundError):
            size = path.stat().st_size
            path.unlink()
    except OSError as error:
        raise EcgError(
            f"Cannot delete {path}: {error.strerror or error}. Change its permissions, then run "
            "the same command again."
        ) from None
    return size


def _forget(storage: RDBStorage, gone: Collection[FrozenTrial]) -> None:
    """Remove the entries of deleted weights from their trials."""
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
