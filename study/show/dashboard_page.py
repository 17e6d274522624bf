"""Additions to the dashboard's page, made by a style sheet: optuna-dashboard offers no other way.

Its list of studies has only their names, and its page of a study does not warn of a reduced budget.
"""

import logging
from collections.abc import Callable, Iterable
from importlib.resources import files
from typing import Any

from optuna.storages import RDBStorage

from ecg.errors import EcgError
from study.show.dashboard_hosts import Application
from study.show.terminal import LISTED, state_of
from study.storage.ids import study_id
from study.storage.outage import STORAGE_ERRORS
from study.storage.reading import read_studies
from study.storage.rows import StudyRows
from study.storage.studies import own_studies
from study.wording import counted, score_title, warn_of_limits

logger = logging.getLogger(__name__)


def with_style(app: Application, storage: RDBStorage) -> Application:
    """Add our style sheet to the dashboard's page, with what each study is and found.

    Args:
        app: the dashboard.
        storage: storage of its studies.
    """
    fixed = (files("study.show") / "page" / "dashboard.css").read_text(encoding="utf-8")

    def styled(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        begun: list[Any] = []

        def begin(status: str, headers: list[tuple[str, str]], *rest: Any) -> None:
            begun[:] = [status, headers, *rest]

        parts = app(environ, begin)
        status, headers, *rest = begun
        is_page = any(k.lower() == "content-type" and "text/html" in v for k, v in headers)
        if not is_page or not environ["PATH_INFO"].startswith("/dashboard"):
            start_response(status, headers, *rest)
            return parts
        addition = f"<style>{fixed}{_rules(storage)}</style></head>".encode()
        page = b"".join(parts).replace(b"</head>", addition, 1)
        if callable(close := getattr(parts, "close", None)):
            close()
        kept = [(k, v) for k, v in headers if k.lower() != "content-length"]
        start_response(status, [*kept, ("Content-Length", str(len(page)))], *rest)
        return [page]

    return styled


def _rules(storage: RDBStorage) -> str:
    """Return the style rules of all studies, none if the database cannot be read now."""
    try:
        keys = {study.study_name: study_id(study) for study in own_studies(storage)}
        studies = read_studies(storage.url, LISTED)
    except (EcgError, *STORAGE_ERRORS) as error:
        logger.warning("the list of studies lacks data, budget and scores: %s", error)
        return ""
    known = [study for study in studies if study.is_ours and study.name in keys]
    return "".join(rules_of(study, keys[study.name]) for study in known)


def rules_of(study: StudyRows, key: int) -> str:
    """Return the style rules of a study: two lines in the list, a caution on its page.

    Args:
        study: a study with the attributes `study.show.terminal.LISTED`.
        key: its id, which the addresses of its pages have.
    """
    identity = study.identity
    title = score_title(identity.get("objective"))
    named = {"best": study.best, "baseline": study.baseline}
    scores = [f"{name} {row['value']:.4f}" for name, row in named.items() if row is not None]
    what = (
        f"{identity.get('space')}, {identity.get('source')} {identity.get('split')}, "
        f"budget {identity.get('budget')}"
    )
    found = f"{title}: {', '.join(scores)}; " if scores else ""
    said = f"{what}\n{found}{counted(len(study.rows), 'trial')}, {state_of(study)}"
    link = f'main a[href$="/studies/{key}"]'
    rules = f"{link} .MuiTypography-subtitle1::after{{content:{_text(said)}}}"
    if caution := warn_of_limits(identity):
        page = f'body:has(a[href$="/studies/{key}/analytics"]) main > .MuiBox-root::before'
        rules += f"{page}{{content:{_text(caution)}}}"
    return rules


def _text(text: str) -> str:
    """Return any text as a string of CSS, every character but letters and digits escaped."""
    return '"' + "".join(c if c.isalnum() and c.isascii() else f"\\{ord(c):x} " for c in text) + '"'
