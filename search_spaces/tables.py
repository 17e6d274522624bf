"""The five published tables: the configurations they compare, and the published scores.

This is pure data. A row is one configuration of the published protocol, given by the fields that
differ from the published baseline (Coupled CNN, AdamW, no scheduler, no class weights, no
sampler). The published scores come from single runs on the test part.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from ecg.budget import gives_schedule
from ecg.errors import UsageError, use_one_of
from ecg.networks import TITLES
from ecg.training.config import TrainConfig

ALL_TABLES = "tables"  # what people type for all five, and the "space" of such studies

# The fields that the tables vary, with the values of the published baseline. A test compares them
# with TrainConfig.
PUBLISHED_BASELINE: Mapping[str, Any] = MappingProxyType(
    {
        "model": "coupled",
        "optimizer": "adamw",
        "weight_decay": 1e-3,
        "scheduler_factor": None,
        "alpha": 0.0,
        "ratio": None,
    }
)

# The fields that no table varies, with the published values; limits and seed are free.
FIXED: Mapping[str, Any] = MappingProxyType(
    {
        field.name: field.default
        for field in fields(TrainConfig)
        if field.name not in (*PUBLISHED_BASELINE, "max_epochs", "patience", "seed")
    }
)

COLUMN_TITLES: Mapping[str, str] = MappingProxyType(
    {
        f"{metric}_{average}": f"{title}({average[0].upper()})"
        for metric, title in (
            ("recall", "Recall"),
            ("specificity", "Specificity"),
            ("precision", "Precision"),
            ("f1", "F1-score"),
        )
        for average in ("macro", "weighted")
    }
)

CONTRADICTION = (
    "The published tables contradict each other: the run with AdamW and no scheduler has "
    "F1-score(M) 0.9290 in tables 1, 4 and 5 but 0.9201 in tables 2 and 3, while all its other "
    "scores are equal. Its published macro recall and precision fit 0.9290. The scores are shown "
    "here as published."
)

_SHORT = ("recall_weighted", "specificity_weighted", "precision_weighted", "f1_weighted",
          "f1_macro")  # fmt: skip
_LONG = ("recall_macro", "specificity_macro", "precision_macro", "f1_macro",
         "recall_weighted", "specificity_weighted", "precision_weighted",
         "f1_weighted")  # fmt: skip


@dataclass(frozen=True)
class TableRow:
    """One configuration of a table.

    Attributes:
        label: text of the first column, as published.
        fields: fields of the training configuration that differ from `PUBLISHED_BASELINE`.
    """

    label: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def configuration(self) -> dict[str, Any]:
        """All fields that the tables vary, including those at the baseline."""
        return {**PUBLISHED_BASELINE, **self.fields}

    @property
    def is_baseline(self) -> bool:
        """Whether this row is the published baseline."""
        return self.configuration == dict(PUBLISHED_BASELINE)

    def matches(self, config: Mapping[str, Any]) -> bool:
        """Whether a training configuration is the one of this row.

        Args:
            config: fields of a training configuration. Fields that no table varies must have
                their published values if given. Seed and limits are free, and so is a schedule
                that comes from a budget.
        """
        if any(name not in config or config[name] != v for name, v in self.configuration.items()):
            return False
        given = _without_schedule_of_budget(config)
        return all(given[name] in (None, FIXED[name]) for name in FIXED if name in given)


def _without_schedule_of_budget(config: Mapping[str, Any]) -> dict[str, Any]:
    epochs, schedule, warm_up = map(config.get, ("max_epochs", "schedule", "warm_up"))
    is_given = epochs is not None and gives_schedule(epochs, schedule, warm_up or 0)
    left_out = ("schedule", "warm_up") if is_given else ()
    return {name: value for name, value in config.items() if name not in left_out}


@dataclass(frozen=True)
class Table:
    """One published table.

    Attributes:
        name: what people type.
        title: as published.
        header: heading of the first column, as published.
        columns: names from `ecg.metrics.SCORES`, in the published order.
        rows: rows in the published order.
        published: scores in the order of `columns`, by row label; a row may have none.
        parameters: number of weights by row label, if the table prints it.
    """

    name: str
    title: str
    header: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    published: Mapping[str, tuple[float, ...]]
    parameters: Mapping[str, int] = field(default_factory=dict)

    @property
    def baseline(self) -> TableRow:
        """The row that the others are compared with."""
        return next(row for row in self.rows if row.is_baseline)


_BASELINE_SHORT = (0.9872, 0.9630, 0.9869, 0.9869)
_BASELINE_LONG = (0.9182, 0.9900, 0.9412, 0.9290, *_BASELINE_SHORT)

_TABLES = (
    Table(
        name="table1",
        title="Table 1. Models performance comparison",
        header="Model",
        columns=_SHORT,
        rows=(
            TableRow("Simple CNN", {"model": "simple"}),
            TableRow("Four-layer CNN", {"model": "four-layer"}),
            TableRow("Residual CNN", {"model": "residual"}),
            TableRow("Coupled CNN"),
        ),
        published={
            "Simple CNN": (0.9811, 0.9494, 0.9805, 0.9807, 0.9012),
            "Four-layer CNN": (0.9840, 0.9536, 0.9835, 0.9835, 0.9171),
            "Residual CNN": (0.9844, 0.9518, 0.9840, 0.9840, 0.9154),
            "Coupled CNN": (*_BASELINE_SHORT, 0.9290),
        },
        parameters={
            "Simple CNN": 52_229,
            "Four-layer CNN": 217_925,
            "Residual CNN": 1_354_981,
            "Coupled CNN": 1_686_725,
        },
    ),
    Table(
        name="table2",
        title="Table 2. Adam vs AdamW (Coupled CNN)",
        header="optimizer",
        columns=_SHORT,
        rows=(TableRow("Adam", {"optimizer": "adam", "weight_decay": 0.0}), TableRow("AdamW")),
        published={
            "Adam": (0.9868, 0.9661, 0.9866, 0.9865, 0.9290),
            "AdamW": (*_BASELINE_SHORT, 0.9201),
        },
    ),
    Table(
        name="table3",
        title="Table 3. LR scheduler factor (Coupled CNN)",
        header="LrScheduler",
        columns=_SHORT,
        rows=(
            TableRow("none"),
            TableRow("0.2", {"scheduler_factor": 0.2}),
            TableRow("0.5", {"scheduler_factor": 0.5}),
            TableRow("0.8", {"scheduler_factor": 0.8}),
        ),
        published={
            "none": (*_BASELINE_SHORT, 0.9201),
            "0.2": (0.9873, 0.9647, 0.9870, 0.9870, 0.9270),
            "0.5": (0.9869, 0.9681, 0.9866, 0.9867, 0.9239),
            "0.8": (0.9870, 0.9651, 0.9867, 0.9867, 0.9231),
        },
    ),
    Table(
        name="table4",
        title="Table 4. Class weights, alpha (Coupled CNN)",
        header="alpha",
        columns=_LONG,
        rows=(
            TableRow("none"),
            TableRow("0.1", {"alpha": 0.1}),
            TableRow("0.5", {"alpha": 0.5}),
            TableRow("1.0", {"alpha": 1.0}),
        ),
        published={
            "none": _BASELINE_LONG,
            "0.1": (0.9129, 0.9911, 0.9313, 0.9218, 0.9865, 0.9690, 0.9863, 0.9860),
            "0.5": (0.9319, 0.9896, 0.8486, 0.8816, 0.9775, 0.9704, 0.9805, 0.9785),
            "1.0": (0.9437, 0.9883, 0.7713, 0.8266, 0.9605, 0.9808, 0.9749, 0.9655),
        },
    ),
    Table(
        name="table5",
        title="Table 5. Sampler ratio (Coupled CNN)",
        header="ratio",
        columns=_LONG,
        rows=(
            TableRow("none"),
            TableRow("0.1", {"ratio": 0.1}),
            TableRow("0.25", {"ratio": 0.25}),
            TableRow("0.5", {"ratio": 0.5}),
            TableRow("1.0", {"ratio": 1.0}),
        ),
        published={
            "none": _BASELINE_LONG,
            "0.1": (0.9255, 0.9906, 0.9257, 0.9252, 0.9860, 0.9670, 0.9859, 0.9859),
            "0.25": (0.9285, 0.9916, 0.9239, 0.9259, 0.9864, 0.9718, 0.9864, 0.9864),
            "0.5": (0.9321, 0.9914, 0.9185, 0.9248, 0.9862, 0.9710, 0.9863, 0.9862),
            "1.0": (0.9315, 0.9918, 0.9025, 0.9163, 0.9839, 0.9750, 0.9844, 0.9841),
        },
    ),
)

TABLES: Mapping[str, Table] = MappingProxyType({table.name: table for table in _TABLES})

# An optional further row of table 1. It has no published scores, because that work chose its
# weights on the test part.
TF_TABLE = "table1"
TF_ROW = TableRow(TITLES["coupled-tf"], {"model": "coupled-tf"})
TF_PARAMETERS = 1_686_725


def find_table(name: str, *, with_tf: bool = False) -> Table:
    """Return the table of that name.

    Args:
        name: name of the table.
        with_tf: add the row of the network with Keras's conventions to table 1.

    Raises:
        UsageError: no table has this name.
    """
    if name not in TABLES:
        raise UsageError(f"unknown table '{name}'. {use_one_of(TABLES)}")
    table = TABLES[name]
    if not with_tf or name != TF_TABLE:
        return table
    return replace(
        table,
        rows=(*table.rows, TF_ROW),
        parameters={**table.parameters, TF_ROW.label: TF_PARAMETERS},
    )


def configurations(
    names: Iterable[str] = tuple(TABLES), *, with_tf: bool = False
) -> tuple[TableRow, ...]:
    """Return the distinct configurations of some tables, in the order of their first row.

    Args:
        names: names of tables. A configuration in several tables, such as the baseline, comes
            once.
        with_tf: as for `find_table`.

    Returns:
        Rows with labels that are clear without the table, such as "alpha 0.1".

    Raises:
        UsageError: no table has one of these names.
    """
    distinct: list[TableRow] = []
    for table in (find_table(name, with_tf=with_tf) for name in names):
        for row in table.rows:
            if not any(row.configuration == known.configuration for known in distinct):
                distinct.append(TableRow(_full_label(table, row), row.fields))
    return tuple(distinct)


def _full_label(table: Table, row: TableRow) -> str:
    if row.is_baseline:
        return "Coupled CNN (baseline)"
    return row.label if table.name in ("table1", "table2") else f"{table.header} {row.label}"
