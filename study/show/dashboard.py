"""`study dashboard`: optuna-dashboard on a database, with notes and plots of its studies."""

import errno
import ipaddress
import logging
import socket
import threading
import webbrowser
from collections.abc import Callable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
import pandas as pd
from optuna.storages import RDBStorage

from ecg.errors import EcgError, UsageError
from study.plots import plots_of
from study.plots.style import NothingToDrawError, baseline_of, best_of, on_any_background, plain
from study.show.dashboard_hosts import only_for
from study.show.dashboard_page import with_style
from study.show.sentences import (
    say_caution,
    say_confirmation,
    say_reads,
    say_trials,
    say_verdict,
)
from study.show.trial_files import make_file
from study.storage.artifacts import TrialFiles, artifact_folder
from study.storage.dashboard_speed import (
    list_what_a_study_is,
    remember_finished_trials,
    serialize_each_trial_once,
)
from study.storage.database import hide_password
from study.storage.ids import database_of, storage_of, study_id, trial_id_of
from study.storage.notes import OUR_NOTE, failure_note, place_notes, save_note, study_note
from study.storage.outage import STORAGE_ERRORS
from study.storage.reading import count_states
from study.storage.studies import (
    find_identity,
    is_writable,
    open_storage,
    open_unlocked,
    own_studies,
)
from study.storage.trials_table import study_trials
from study.wording import say_limits, warn_of_limits

DEFAULT_PORT = 8080
LAST_WRITE_SECONDS = 10.0
MAX_PORT = 65_535
REFRESH_SECONDS = 15.0
SHOWN_AS_OF = "trials"  # attribute: the trials that the stored note and plots were made from

logger = logging.getLogger(__name__)

Say = Callable[[str], None]


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each request in its own thread, so that a slow plot does not block the page."""

    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    """Logs errors, but no line per request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""

    def address_string(self) -> str:
        """Return the numeric address: a look-up of its name can take seconds."""
        return str(self.client_address[0])


def serve_dashboard(
    storage: str, *, host: str, port: int | None, open_browser: bool, say: Say
) -> None:
    """Show the studies of a database in the browser until Ctrl-C.

    Args:
        storage: URL.
        host: address to listen on.
        port: None for 8080, or for a free one if 8080 is taken.
        open_browser: open the page.
        say: prints a line.

    Raises:
        UsageError: there is no such database, or host or port are not available.
        StorageError: the database cannot be read.
    """
    opened = open_storage(storage, create=False, write=False)
    if warning := exposure(host):
        say(warning)
    server = make_dashboard(opened, host=host, port=port)
    is_shown_only = not is_writable(opened)
    if is_shown_only:
        say("warning: the database is read-only. Notes and plots are shown as stored.")
    else:
        refresh_all(opened)
    address = f"http://{_in_url(host)}:{server.server_port}/"
    say(f"dashboard of {hide_password(storage)}: {address}\nPress Ctrl-C to stop it.")
    if open_browser:
        webbrowser.open(address)
    ended = threading.Event()
    refreshing = threading.Thread(target=keep_fresh, args=(opened, ended), daemon=True)
    if not is_shown_only:
        refreshing.start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        ended.set()
        server.server_close()
        if refreshing.is_alive():  # let it finish what it is writing
            refreshing.join(LAST_WRITE_SECONDS)


def make_dashboard(storage: RDBStorage, *, host: str, port: int | None) -> WSGIServer:
    """Return the server of the dashboard, already listening; see `serve_dashboard`."""
    from optuna_dashboard import wsgi

    folder = artifact_folder(storage.url)
    if is_writable(storage):
        folder.mkdir(parents=True, exist_ok=True)
    # Not `open_storage`: a page that is being read must not hold the lock that workers write
    # under.
    plain = open_unlocked(storage)
    serialize_each_trial_once()
    list_what_a_study_is()
    app = wsgi(remember_finished_trials(plain), artifact_store=TrialFiles(folder, plain, make_file))
    return _listen(only_for(with_style(app, plain), host), host, port)


def exposure(host: str) -> str | None:
    """Return a warning if others can reach the dashboard, which has no password."""
    try:
        is_local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = host == "localhost"
    if is_local:
        return None
    return (
        f"warning: --host {host or '0.0.0.0'} lets everyone who can reach this machine read, "
        "rename and delete the studies; there is no password. Use an SSH tunnel, or the default "
        "127.0.0.1."
    )


def refresh_all(storage: RDBStorage) -> None:
    """Update notes and plots of every study of this project."""
    for study in own_studies(storage):
        try:
            refresh(study)
        except (EcgError, *STORAGE_ERRORS) as error:  # such as a role that may only read
            logger.warning(
                "the study '%s' is shown without its latest trials: %s", study.study_name, error
            )


def keep_fresh(storage: RDBStorage, ended: threading.Event) -> None:
    """Keep notes and plots up to date while trials end.

    Args:
        storage: storage of the studies.
        ended: stops the updates when it is set.
    """
    shown: dict[str, dict[str, int]] = {}
    while not ended.wait(REFRESH_SECONDS):
        try:
            found = count_states(storage)
            for study in own_studies(storage):
                name = study.study_name
                if name in found and found[name] != shown.get(name):
                    refresh(study)
                    shown[name] = found[name]
        except Exception as error:  # a study was deleted, or the database is busy: try again later
            optuna.logging.get_logger("study").debug("not updated: %s", error)


def refresh(study: optuna.Study) -> None:
    """Update the note and the plots of a study; write nothing if they are current.

    A note that a person has edited stays as it is.

    Args:
        study: a study of this project; nothing is written to a study of another tool.
    """
    if not find_identity(study):
        return
    trials = study_trials(study, curves=False)
    as_of: dict[str, Any] = {str(s): int(n) for s, n in trials["state"].value_counts().items()}
    as_of["study"] = study.study_name  # a copy comes with the note of its original
    if (confirmation := trials.attrs.get("confirmation")) is not None:
        as_of["confirmed"] = sum(map(len, confirmation.runs.values()))
    storage, key = storage_of(study), study_id(study)
    system = storage.get_study_system_attrs(key)
    if (database := database_of(study)) is not None and place_notes(database, key, system):
        system = storage.get_study_system_attrs(key)
    if system.get(f"ecg:{SHOWN_AS_OF}") == as_of:
        return
    if system.get("dashboard:note_ver", OUR_NOTE) == OUR_NOTE:
        save_note(study, None, describe_study(trials))
    _note_failures(study, trials, system)
    save_plots(study, trials)
    storage.set_study_system_attr(key, f"ecg:{SHOWN_AS_OF}", as_of)


def describe_study(trials: pd.DataFrame) -> str:
    """Return the note of a study."""
    try:
        best: pd.Series | None = best_of(trials)
    except NothingToDrawError:
        best = None
    facts = (
        warn_of_limits(trials.attrs["identity"]),
        say_verdict(trials, best, None if best is None else baseline_of(trials)),
        say_confirmation(trials.attrs.get("confirmation")),
        say_trials(trials),
        say_reads(trials),
        say_caution(trials, best),
    )
    space = [f"{name}: {text}" for name, text in _ranges(trials).items()]
    identity = trials.attrs["identity"]
    return study_note(trials.attrs["study"], identity, [f for f in facts if f], space)


def save_plots(study: optuna.Study, trials: pd.DataFrame) -> None:
    """Save the plots that optuna-dashboard lacks."""
    from optuna_dashboard import save_plotly_graph_object

    limits = say_limits(trials.attrs["identity"])
    for plot in plots_of(trials):
        if not plot.on_dashboard:
            continue
        try:
            figure = on_any_background(plot.draw(trials))
        except NothingToDrawError:
            continue
        below = f'<br><span style="font-size:12px">{plain(limits)}</span>' if limits else ""
        title = {"text": f"<b>{plot.title}</b>{below}", "font": {"size": 18}}
        figure.update_layout(title={**title, "x": 0.02, "xanchor": "left", "y": 0.91})
        save_plotly_graph_object(study, figure, graph_object_id=plot.name)


def _note_failures(study: optuna.Study, trials: pd.DataFrame, system: dict[str, Any]) -> None:
    """Give failed trials a note; notes belong to the study, so ended trials can have one."""
    if "failure" not in trials:
        return
    failed = trials[(trials["state"] == "fail") & trials["failure"].notna()]
    if failed.empty:
        return
    for number, reason in zip(failed["number"], failed["failure"], strict=True):
        if f"dashboard:{trial_id_of(study, int(number))}:note_ver" not in system:
            save_note(study, int(number), failure_note(reason))


def _ranges(trials: pd.DataFrame) -> dict[str, str]:
    """Return the values that each parameter can take, as far as trials show them."""
    from optuna.distributions import CategoricalDistribution, json_to_distribution

    ranges = {}
    for name, text in trials.attrs.get("distributions", {}).items():
        known = json_to_distribution(text)
        if isinstance(known, CategoricalDistribution):
            ranges[name] = ", ".join("none" if c is None else str(c) for c in known.choices)
        else:
            log = " (log)" if getattr(known, "log", False) else ""
            ranges[name] = f"{getattr(known, 'low', '')} to {getattr(known, 'high', '')}{log}"
    return ranges


def _listen(app: Any, host: str, port: int | None) -> WSGIServer:
    wanted = DEFAULT_PORT if port is None else port
    if not 0 <= wanted <= MAX_PORT:
        raise UsageError(f"--port must be 0 to {MAX_PORT}, not {wanted}")
    try:
        return _bound(app, host, wanted)
    except (OSError, TypeError, UnicodeError) as error:  # not OSError: the host is not a valid name
        if port is None and getattr(error, "errno", 0) in (errno.EADDRINUSE, errno.EACCES):
            return _bound(app, host, 0)
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot listen on {host}, port {wanted} ({reason}). Omit --port to use a free one."
        ) from None


def _bound(app: Any, host: str, port: int) -> WSGIServer:
    kind = type("_Server6", (_Server,), {"address_family": socket.AF_INET6})
    server = kind if ":" in host else _Server
    return make_server(host, port, app, server_class=server, handler_class=_QuietHandler)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
