"""Opening a database; making, finding and locking studies, and checking their identity."""

import sys
import warnings
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._rdb import models

from ecg.errors import UsageError
from ecg.record_lists import RecordLists, from_text
from study.storage.database import check_sqlite_file, hide_password, parse_url, storage_errors
from study.storage.engines import engine_options, leave_sqlite, set_up_sqlite
from study.storage.facts import (
    IDENTITY_KEY,
    SETTINGS_KEY,
    DamageError,
    check_stored_identity,
    warn_of_damage,
)
from study.storage.heartbeats import GRACE_SECONDS, HEARTBEAT_SECONDS
from study.storage.lean import LARGE, PlainStorage
from study.storage.locks import held
from study.storage.making import make_study
from study.storage.outage import is_busy, outlast
from study.storage.schema import has_studies
from study.wording import objectives_of, one_line

# Increased when studies of older versions can no longer be continued.
# 2: precision, kind of device and protocol are part of a study's identity.
FORMAT = 2
LONGEST_NAME = 512  # longest name of a study in Optuna's tables
MOST_NAMED = 10  # most studies listed in a message


@dataclass(frozen=True)
class Identity:
    """What defines a study. It is stored with the study and compared when the study is continued.

    Attributes:
        space: name of the searched space, or the kind of planned runs.
        space_digest: digest of the definition of the space.
        objective: one of `ecg.metrics.SCORES`.
        source: source of the heartbeats.
        data: fingerprint of the heartbeats, or of the recording that replaces training.
        split: name of the split.
        budget: name of the budget.
        device: kind of device for training, "cpu" or "cuda".
        precision: arithmetic of training, see `ecg.training.find_precision`.
        protocol: version of the training rules, see `ecg.training.config.PROTOCOL`.
        seed: seed of the study.
        format: version of the form in which the study is stored.
        records: records of each part of a split from a file, as text; `split` has their digest.
        repeats: seeds with which a search trains each configuration; the objective is their mean.
        objectives: names of all, separated by commas, `objective` first, where a search has
            several; else empty.
    """

    space: str
    space_digest: str
    objective: str
    source: str
    data: str
    split: str
    budget: str
    device: str
    precision: str
    protocol: int
    seed: int
    format: int = FORMAT
    records: str = ""
    repeats: int = 1
    objectives: str = ""

    def to_fields(self) -> dict[str, Any]:
        """Return what is stored and hashed; one objective is as before there were several."""
        fields = asdict(self)
        if not self.objectives:
            del fields["objectives"]
        return fields

    @property
    def all_objectives(self) -> tuple[str, ...]:
        """The names of all objectives; the first is a score."""
        return objectives_of(asdict(self))

    @property
    def record_lists(self) -> RecordLists | None:
        """The records of each part, None unless a file lists them."""
        return from_text(self.records) if self.records else None

    def differences(self, stored: Mapping[str, Any]) -> list[str]:
        """Return the differences between a stored identity and this one, one text each.

        The format is not compared. Lists of records are compared through their digest in `split`.
        """
        titles = {"space_digest": "definition of the space", "data": "data fingerprint"}
        stored = {"repeats": 1, "objectives": "", **stored}  # older studies do not have them
        return [
            f"{titles.get(name, name)} is {stored.get(name)!r} there, {wanted!r} here"
            for name, wanted in asdict(self).items()
            if name not in ("format", "records") and stored.get(name) != wanted
        ]


def default_name(kind: str, source: str, split: str, budget: str, objectives: str = "") -> str:
    """Return the default name of a study."""
    several = objectives.split(",") if objectives else ()
    return "-".join((kind, source.replace(" ", "-"), split, budget, *several))


def _print_error(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def open_storage(
    url: str,
    *,
    create: bool = True,
    write: bool = True,
    lean: bool = False,
    waits: Callable[[BaseException], bool] = is_busy,
    say: Callable[[str], None] = _print_error,
) -> RDBStorage:
    """Open a database as an Optuna storage for several processes at once.

    SQLite has no row locks, so every transaction takes the write lock when it starts
    (BEGIN IMMEDIATE) and waits for others. Readers do not block (WAL). When the last process
    closes the database, it becomes a single plain file again.

    Args:
        url: an SQLAlchemy URL, such as sqlite:///results/study.db.
        create: create the database if it is missing.
        write: whether the database will be written to; without it, the database may be read-only.
        lean: read trials without their large attributes, see `PlainStorage`.
        waits: whether to try again after an error, see `study.storage.outage.outlast`.
        say: shows warnings to the user.

    Raises:
        UsageError: the URL is malformed, its driver or the database is missing, or the database
            belongs to another program.
        StorageError: the database cannot be reached, read or written, or an older Optuna made it.
    """
    place = parse_url(url)
    is_sqlite = place.get_backend_name() == "sqlite"
    if is_sqlite:
        write = check_sqlite_file(url, create=create, write=write)

    def open_once() -> RDBStorage:
        options = engine_options(place, write=write)
        with _opening(place, options, write=write) as connection:
            exists = has_studies(connection, url)
            if not exists and not (create and write):
                raise no_study_yet()
            connection.rollback()  # another connection creates the tables
            return PlainStorage(
                # Optuna formats its version into the URL, so braces are doubled.
                place.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}"),
                engine_kwargs=options,
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=GRACE_SECONDS,
                skip_table_creation=exists,
                without=LARGE if lean else (),
            )

    with storage_errors(url), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = outlast(open_once, hide_password(url), say, waits)
        if is_sqlite:
            set_up_sqlite(storage.engine, write=write, say=say if create else None)
            if write:
                weakref.finalize(storage, leave_sqlite, storage.engine)
    return storage


def is_writable(storage: RDBStorage) -> bool:
    """Whether an open SQLite file is writable; a server reports an error when it is not."""
    return "creator" not in storage.engine_kwargs


def open_unlocked(storage: RDBStorage) -> RDBStorage:
    """Open a database a second time for reading that never takes the write lock."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        options = {
            k: v for k, v in storage.engine_kwargs.items() if k not in ("pool_size", "max_overflow")
        }
        url = storage.url.replace("{", "{{").replace("}", "}}")
        opened = PlainStorage(url, engine_kwargs=options, skip_table_creation=True)
    if opened.engine.dialect.name == "sqlite" and is_writable(storage):
        weakref.finalize(opened, leave_sqlite, opened.engine)
    return opened


@contextmanager
def _opening(
    place: sqlalchemy.URL, options: dict[str, Any], *, write: bool
) -> Iterator[sqlalchemy.Connection]:
    """Connect for a first look; with `write` under a lock, under which tables may be created."""
    engine = sqlalchemy.create_engine(place, **options)
    try:
        with held(engine, "open") if write else nullcontext(), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def find_identity(study: optuna.Study) -> dict[str, Any]:
    """Return the stored identity of a study, empty if another tool made the study.

    Raises:
        DamageError: the identity is damaged.
    """
    attributes = study.user_attrs
    if IDENTITY_KEY not in attributes:
        return {}
    return check_stored_identity(study.study_name, attributes[IDENTITY_KEY])


def check_name(name: str) -> None:
    """Refuse an invalid name for a study.

    Raises:
        UsageError: the name is invalid; the message says which names are valid.
    """
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise UsageError(
            f"{name!r:.80} is not a valid name for a study. Use 1 to {LONGEST_NAME} printable "
            "characters."
        )


def open_study(storage: RDBStorage, name: str, identity: Identity) -> tuple[optuna.Study, bool]:
    """Open the study of that name, or create it; call it under `study_lock`.

    Returns:
        The study, and whether it is new.

    Raises:
        UsageError: the name is invalid, or the study of this name has another identity; the
            message lists the differences.
    """
    check_name(name)
    try:
        study = optuna.load_study(storage=storage, study_name=name)
    except KeyError:
        make_study(storage, name, identity.to_fields(), identity.all_objectives)
        return optuna.load_study(storage=storage, study_name=name), True
    stored = find_identity(study)
    if not stored:
        raise UsageError(
            f"A study named '{name}' already exists and was made by another tool. Use another name "
            "with --study."
        )
    check_identity(name, stored, identity)
    return study, False


def keep_settings(study: optuna.Study, settings: Mapping[str, Any]) -> None:
    """Store the settings of a command, for `run --study NAME`; call it under `study_lock`.

    Args:
        study: a new or continued study.
        settings: JSON values by name; they replace earlier settings.
    """
    if study.user_attrs.get(SETTINGS_KEY) != settings:
        study.set_user_attr(SETTINGS_KEY, dict(settings))


def check_identity(name: str, stored: Mapping[str, Any], wanted: Identity) -> None:
    """Refuse a study with another identity.

    Args:
        name: name of the study.
        stored: its identity.
        wanted: the identity that it must have.

    Raises:
        UsageError: the identities differ; the message lists the differences.
    """
    check_format(name, stored)
    if differences := wanted.differences(stored):
        raise UsageError(
            f"A study named '{name}' already exists with other settings: "
            f"{'; '.join(differences)}. Nothing was changed. Use its settings to continue it, or "
            "start another study with --study and a new name."
        )


def check_format(name: str, stored: Mapping[str, Any]) -> None:
    """Refuse a study in the format of another version of this project.

    Args:
        name: name of the study.
        stored: its identity.

    Raises:
        UsageError: the format differs; the message says what to do.
    """
    found = stored.get("format", 0)
    if found > FORMAT:
        raise UsageError(
            f"The study '{name}' was made by a newer version of this project "
            f"(format {found}; this version reads {FORMAT}). Update the project."
        )
    if found < FORMAT:
        raise UsageError(
            f"The study '{name}' was made by an older version of this project (format {found}; "
            f"this version writes {FORMAT}), which stored no precision, kind of device or "
            "protocol. `show` and `report` still read it. To run trials, start another study with "
            "--study and a new name."
        )


def load_study(storage: RDBStorage, name: str) -> optuna.Study:
    """Return an existing study.

    Raises:
        UsageError: there is no study of that name (the message suggests similar names), or
            another tool made it.
    """
    study = None
    with suppress(KeyError, UnicodeError):
        study = optuna.load_study(storage=storage, study_name=name)
    if study is not None:
        if not find_identity(study):
            raise foreign_study(name)
        return study
    raise unknown_study(name, study_names(storage))


def study_names(storage: RDBStorage) -> list[str]:
    """Return the names of all studies; Optuna's own function would read all their notes."""
    with storage.engine.connect() as connection:
        return list(connection.scalars(sqlalchemy.select(models.StudyModel.study_name)))


def own_studies(storage: RDBStorage) -> Iterator[optuna.Study]:
    """Yield the studies of this project, sorted by name; warn of damaged ones and skip them."""
    for name in sorted(study_names(storage)):
        study = optuna.load_study(storage=storage, study_name=name)
        try:
            if find_identity(study):
                yield study
        except DamageError as error:
            warn_of_damage(name, None, error.damage, "the study is skipped")


def foreign_study(name: str) -> UsageError:
    """Return the error that another tool made a study."""
    return UsageError(
        f"The study '{one_line(name)}' was made by another tool. Use that tool, or Optuna, to "
        "read it."
    )


def no_study_yet() -> UsageError:
    """Return the error that a database has no studies."""
    return UsageError("The database has no studies yet. Start one with: python -m study run")


def unknown_study(name: str, known: Collection[str]) -> UsageError:
    """Return the error that there is no study of that name, with similar names."""
    import difflib

    if not known:
        return no_study_yet()
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)[:MOST_NAMED]
    shown = ", ".join(one_line(other) for other in near)
    return UsageError(f"There is no study named '{one_line(name)}'. Did you mean: {shown}?")


@contextmanager
def study_lock(storage: RDBStorage, name: str) -> Iterator[None]:
    """Hold the lock of a study among all processes that use the database, see `held`.

    Raises:
        StorageError: the lock was not free within five minutes.
    """
    with held(storage.engine, name):
        yield
