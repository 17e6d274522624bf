"""Opening a storage, locking a study, and checking that it is the one asked for."""

import sys
import warnings
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
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
    tell,
)
from study.storage.file_systems import network_file_system
from study.storage.lean import LARGE, PlainStorage
from study.storage.locks import held
from study.storage.making import make_study
from study.storage.outage import is_busy, outlast
from study.storage.schema import has_studies
from study.wording import objectives_of, one_line

# Raised when a study of an older version can no longer be continued.
# 2: the precision, the kind of device and the protocol are part of what a study is.
FORMAT = 2
HEARTBEAT_SECONDS = 15
GRACE_SECONDS = 60  # a worker silent for so long, as another one watches, is taken for dead
LONGEST_NAME = 512  # of a study, in Optuna's tables
MOST_NAMED = 10  # studies in a message


@dataclass(frozen=True)
class Identity:
    """What makes two runs the same study. Stored with it and compared when it is continued.

    Attributes:
        space: name of what is searched, or the kind of the planned runs.
        space_digest: of the definition of the space.
        objective: one of `ecg.metrics.SCORES`.
        source: of the heartbeats.
        data: fingerprint of the heartbeats, or of the recording that stands in for training.
        split: name.
        budget: name.
        device: kind of the device that trains, "cpu" or "cuda".
        precision: in which it computes, see `ecg.training.find_precision`.
        protocol: of the trainings, see `ecg.training.config.PROTOCOL`.
        seed: of the study.
        format: of the study in the database.
        records: of each part of a split that a file lists, as text; `split` has their digest.
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
        """The records of each part, None where no file lists them."""
        return from_text(self.records) if self.records else None

    def differences(self, stored: Mapping[str, Any]) -> list[str]:
        """Say, one by one, in what a stored identity differs from this one.

        Its format is left out, and the lists of records, whose digest is in the split.
        """
        titles = {"space_digest": "definition of the space", "data": "data fingerprint"}
        stored = {
            "repeats": 1,
            "objectives": "",
            **stored,
        }  # of studies from before there were more
        return [
            f"{titles.get(name, name)} is {stored.get(name)!r} there, {wanted!r} here"
            for name, wanted in asdict(self).items()
            if name not in ("format", "records") and stored.get(name) != wanted
        ]


def default_name(kind: str, source: str, split: str, budget: str, objectives: str = "") -> str:
    """Return the name of a study where none is typed."""
    others = objectives.split(",") if objectives else ()
    return "-".join((kind, source.replace(" ", "-"), split, budget, *others))


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
    """Open an Optuna storage in which several processes can work at once.

    SQLite has no row locks, so every transaction takes the write lock when it begins
    (BEGIN IMMEDIATE) and waits for others; readers do not block (WAL). When the last process
    that has it open ends, the file is one plain file again.

    Args:
        url: of SQLAlchemy, such as sqlite:///results/study.db.
        create: make the database where there is none.
        write: without, the database may be one that cannot be written.
        lean: read trials without their large attributes, see `PlainStorage`.
        waits: for which errors of a database to try again, see `study.storage.outage.outlast`.
        say: tells the person that it does.

    Raises:
        UsageError: the URL is malformed, its driver is missing, there is no database, or it is
            another program's.
        StorageError: the database cannot be reached, read or written, or is an older Optuna's.
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
            connection.rollback()  # the tables are made by another connection
            return PlainStorage(
                # Optuna fills its version in between braces.
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
            kind = network_file_system(Path(str(place.database))) if write else None
            if kind is not None and create:  # not every worker says so again
                say(
                    f"warning: {hide_password(url)} is on a network file system ({kind}), where "
                    "SQLite is slow and its locks may not hold. Use a local disk, or PostgreSQL "
                    "for several machines."
                )
            set_up_sqlite(storage.engine, write=write, wal=kind is None)
            if write:
                weakref.finalize(storage, leave_sqlite, storage.engine)
    return storage


def is_writable(storage: RDBStorage) -> bool:
    """Whether an opened SQLite file can be written; a server says so itself, when it refuses."""
    return "creator" not in storage.engine_kwargs


def open_unlocked(storage: RDBStorage) -> RDBStorage:
    """Open a storage that is open once more, so that reading it never takes the write lock."""
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
    """Connect for a first look; who may write does so alone, and may make the tables."""
    engine = sqlalchemy.create_engine(place, **options)
    try:
        with held(engine, "open") if write else nullcontext(), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def find_identity(study: optuna.Study) -> dict[str, Any]:
    """Return the stored identity of a study, empty for one that this project did not make.

    Raises:
        DamageError: it is damaged.
    """
    attributes = study.user_attrs
    if IDENTITY_KEY not in attributes:
        return {}
    return check_stored_identity(study.study_name, attributes[IDENTITY_KEY])


def check_name(name: str) -> None:
    """Refuse a name that no study can have.

    Raises:
        UsageError: says what names may be.
    """
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise UsageError(
            f"{name!r:.80} cannot be the name of a study; use 1 to {LONGEST_NAME} printable "
            "characters"
        )


def open_study(storage: RDBStorage, name: str, identity: Identity) -> tuple[optuna.Study, bool]:
    """Open the study of that name, or make it; call it under `study_lock`.

    Returns:
        The study, and whether it is new.

    Raises:
        UsageError: a study of this name exists and is another one; the message says in what. Or
            it is no name for a study.
    """
    check_name(name)
    try:
        study = optuna.load_study(storage=storage, study_name=name)
    except KeyError:
        make_study(storage, name, identity.to_fields(), identity.all_objectives)
        return optuna.load_study(storage=storage, study_name=name), True
    stored = find_identity(study)
    if not stored:
        raise UsageError(f"the study '{name}' was not made by this tool; use another --study name")
    check_identity(name, stored, identity)
    return study, False


def keep_settings(study: optuna.Study, settings: Mapping[str, Any]) -> None:
    """Keep what a command asks of a study, for `run --study NAME`; call it under `study_lock`.

    Args:
        study: that is made or continued.
        settings: JSON values by name, those of before are replaced.
    """
    if study.user_attrs.get(SETTINGS_KEY) != settings:
        study.set_user_attr(SETTINGS_KEY, dict(settings))


def check_identity(name: str, stored: Mapping[str, Any], wanted: Identity) -> None:
    """Refuse a study that is another one than wanted.

    Args:
        name: of the study.
        stored: its identity.
        wanted: what it must be.

    Raises:
        UsageError: names every difference.
    """
    check_format(name, stored)
    if differences := wanted.differences(stored):
        raise UsageError(
            f"A study named '{name}' already exists with other settings: "
            f"{'; '.join(differences)}. Nothing was changed. Use its settings to continue it, or "
            "start another study with --study and a new name."
        )


def check_format(name: str, stored: Mapping[str, Any]) -> None:
    """Refuse a study that another version of this project made.

    Args:
        name: of the study.
        stored: its identity.

    Raises:
        UsageError: says which version made it, and what to do.
    """
    found = stored.get("format", 0)
    if found > FORMAT:
        raise UsageError(
            f"The study '{name}' was made by a newer version of this project "
            f"(format {found}, this version knows {FORMAT}). Update the project."
        )
    if found < FORMAT:
        raise UsageError(
            f"The study '{name}' was made by an older version of this project (format {found}, "
            f"this version writes {FORMAT}), which kept no precision, kind of device or protocol "
            "with it. It can still be shown and reported. Start another study with --study and a "
            "new name."
        )


def load_study(storage: RDBStorage, name: str) -> optuna.Study:
    """Return an existing study.

    Raises:
        UsageError: there is none of that name (the message names the nearest ones), or it is
            not of this project.
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
    """Return the names of all studies; Optuna reads all their notes to do so."""
    with storage.engine.connect() as connection:
        return list(connection.scalars(sqlalchemy.select(models.StudyModel.study_name)))


def own_studies(storage: RDBStorage) -> Iterator[optuna.Study]:
    """Yield the studies of this project, sorted by name; a damaged one is named and left out."""
    for name in sorted(study_names(storage)):
        study = optuna.load_study(storage=storage, study_name=name)
        try:
            if find_identity(study):
                yield study
        except DamageError as error:
            tell(name, None, error.damage, "the study is left out")


def foreign_study(name: str) -> UsageError:
    """Return the error that a study is not of this project."""
    return UsageError(f"the study '{one_line(name)}' was not made by this tool")


def no_study_yet() -> UsageError:
    """Return the error that a database has no study."""
    return UsageError("the storage holds no study yet; begin one with: python -m study run")


def unknown_study(name: str, known: Collection[str]) -> UsageError:
    """Return the error that there is no study of that name, the nearest ones in its message."""
    import difflib

    if not known:
        return no_study_yet()
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)[:MOST_NAMED]
    shown = ", ".join(one_line(other) for other in near)
    return UsageError(f"no study is named '{one_line(name)}'; did you mean: {shown}?")


@contextmanager
def study_lock(storage: RDBStorage, name: str) -> Iterator[None]:
    """Hold the study for oneself, among all processes that use the storage, see `held`.

    Raises:
        StorageError: the lock could not be had for five minutes.
    """
    with held(storage.engine, name):
        yield
