"""The space that a study searches, for what is done with its trials later."""

from collections.abc import Iterable

from ecg.errors import UsageError
from ecg.networks import MODELS
from search_spaces import Space, find_space
from study.storage.reading import read_settings
from study.storage.studies import check_format


def find_searched_space(url: str, study: str, file: str | None = None) -> Space:
    """Return the space of a search; the own networks of its file are known then.

    Args:
        url: of the database.
        study: name.
        file: of the space, None for the one that the study was run with.

    Raises:
        UsageError: the study is no search, the file is not there, or holds another space now.
    """
    identity, settings = read_settings(url, study)
    check_format(study, identity)
    if not identity.get("space_digest"):
        raise UsageError(
            f"the study '{study}' is no search: its configurations are planned. Name a search"
        )
    file = file or str(settings.get("space", identity["space"]))
    try:
        space = find_space(file)
    except UsageError as error:
        raise UsageError(
            f"the space of the study '{study}' cannot be loaded: {error}. Name its file with "
            "--space"
        ) from None
    if (space.name, space.digest) != (identity["space"], identity["space_digest"]):
        raise UsageError(
            f"the study '{study}' searched the space '{identity['space']}', and {file} is not as "
            "it was then. Name an unchanged copy of its file with --space"
        )
    return space


def load_networks(url: str, study: str, models: Iterable[str], file: str | None) -> str | None:
    """Make the own networks of a search known in this process.

    Args:
        url: of the database.
        study: name of the search.
        models: that its trials trained.
        file: as for `find_searched_space`.

    Returns:
        The space file, None where all networks are shipped ones.

    Raises:
        UsageError: as for `find_searched_space`.
    """
    if set(models) <= set(MODELS):
        return None
    find_searched_space(url, study, file)
    return file or str(read_settings(url, study)[1]["space"])
