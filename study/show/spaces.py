"""`study spaces`: the search spaces in a terminal. Needs neither PyTorch nor a database."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from search_spaces import Space
from study.wording import objective_label, say_value


def list_spaces(spaces: Sequence[Space]) -> RenderableType:
    """Return a table of every space: its parameters, their ranges and the baseline."""
    parts: list[RenderableType] = []
    for space in spaces:
        title = f"{space.name}: {space.description}; maximises {objective_label(space.objective)}"
        table = Table(title=Text(title), title_justify="left", title_style="bold")
        for column in ("parameter", "values", "where", "baseline"):
            table.add_column(column, overflow="fold")
        for parameter in space.parameters:
            conditions = [
                f"{name} is {' or '.join(map(str, values))}"
                for name, values in parameter.when.items()
            ]
            baseline = say_value(space.baseline.get(parameter.name, "-"))
            table.add_row(parameter.name, str(parameter), ", ".join(conditions), baseline)
        parts.append(table)
    return Group(*parts)
