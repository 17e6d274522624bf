"""The space that a study searched, for commands that use its trials later."""

from collections.abc import Iterable

from ecg.errors import UsageError
from ecg.networks import MODELS
from search_spaces import Space, find_space
from study.storage.reading import read_settings
from study.storage.studies import check_format


def find_searched_space(url: str, study: str, file: str | None = None) -> Space:
    """Return the space of a search, after registering the networks that its file defines.

    Args:
        url: database URL.
        study: name of the study.
        file: file of the space, None for the file with which the study was run.

    Raises:
        UsageError: the study is not a search, or its file is missing or has changed.
    """
    identity, settings = read_settings(url, study)
    check_format(study, identity)
    if not identity.get("space_digest"):
        raise UsageError(
            f"The study '{study}' is not a search: its runs were planned. Name a search."
        )
    file = file or str(settings.get("space", identity["space"]))
    try:
        space = find_space(file)
    except UsageError as error:
        reason = str(error).removesuffix(".")
        raise UsageError(
            f"Cannot load the space of the study '{study}': {reason}. Name its file with --space."
        ) from None
    if (space.name, space.digest) != (identity["space"], identity["space_digest"]):
        raise UsageError(
            f"The study '{study}' searched the space '{identity['space']}', and {file} has changed "
            "since. Name an unchanged copy of its file with --space."
        )
    return space


def load_networks(url: str, study: str, models: Iterable[str], file: str | None) -> str | None:
    """Register the networks that the space file of a search defines, where trials used them.

    Args:
        url: database URL.
        study: name of the search.
        models: networks that its trials trained.
        file: see `find_searched_space`.

    Returns:
        The space file, None if all networks come with this project.

    Raises:
        UsageError: see `find_searched_space`.
    """
    if set(models) <= set(MODELS):
        return None
    find_searched_space(url, study, file)
    return file or str(read_settings(url, study)[1]["space"])
