"""The networks that a study's space file defines."""

from collections.abc import Mapping
from typing import Any

from ecg.errors import UsageError
from search_spaces import find_space


def load_networks(file: str | None, study: str, identity: Mapping[str, Any]) -> None:
    """Make the networks of a study's space file known in this process.

    Args:
        file: as typed, None to leave it.
        study: name.
        identity: of the study.

    Raises:
        UsageError: the file holds another space, or was edited since.
    """
    if file is None:
        return
    space = find_space(file)
    if (space.name, space.digest) != (identity.get("space"), identity.get("space_digest")):
        raise UsageError(
            f"the study '{study}' did not search the space in {file} as it is now. Name the file "
            "as it was when the study ran"
        )
