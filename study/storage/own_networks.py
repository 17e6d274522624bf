"""The networks that a study's space file defines, for what is done with its trials later."""

from collections.abc import Iterable

from ecg.errors import UsageError
from ecg.networks import MODELS
from search_spaces import find_space
from study.storage.reading import read_settings


def load_networks(url: str, study: str, models: Iterable[str], file: str | None) -> str | None:
    """Make the own networks of a study known in this process.

    Args:
        url: of the database.
        study: name of the search.
        models: that its trials trained.
        file: of its space, None for the one that the study was run with.

    Returns:
        The space file, None where all networks are shipped ones.

    Raises:
        UsageError: the file is not there, holds another space, or was edited since.
    """
    own = sorted(set(models) - set(MODELS))
    if not own:
        return None
    identity, settings = read_settings(url, study)
    file = file or str(settings.get("space"))
    told = f"the study '{study}' has the network '{own[0]}' of its space file"
    try:
        space = find_space(file)
    except UsageError as error:
        raise UsageError(f"{told}: {error}. Name the file with --space") from None
    if (space.name, space.digest) != (identity.get("space"), identity.get("space_digest")):
        raise UsageError(
            f"{told}, but {file} is not as it was when the study ran. Name an unchanged copy with "
            "--space"
        )
    return file
