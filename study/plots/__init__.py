"""All figures of a study by name: functions from trial records to a Plotly figure.

from study import load_records
from study.plots import optimisation_history
optimisation_history(load_records("sqlite:///results/study.db", "my-study")).show()
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from study.plots.classes import (
    confusion_counts,
    confusion_matrix,
    confusion_shares,
    per_class_figures,
    recall_by_precision,
)
from study.plots.curves import learning_curves
from study.plots.heartbeats import sample_heartbeats
from study.plots.history import objective_by_epochs, objective_by_time, optimisation_history
from study.plots.imbalance import imbalance_answers
from study.plots.parameters import (
    contours,
    importances,
    parallel_coordinates,
    parameter_importances,
    slices,
)
from study.plots.published import published_table, published_tables
from study.plots.style import NothingToDrawError

__all__ = [
    "PLOTS",
    "NothingToDrawError",
    "Plot",
    "confusion_counts",
    "confusion_matrix",
    "confusion_shares",
    "contours",
    "imbalance_answers",
    "importances",
    "learning_curves",
    "objective_by_epochs",
    "objective_by_time",
    "optimisation_history",
    "parallel_coordinates",
    "parameter_importances",
    "per_class_figures",
    "published_table",
    "published_tables",
    "recall_by_precision",
    "sample_heartbeats",
    "slices",
]


@dataclass(frozen=True)
class Plot:
    """One figure of a study.

    Attributes:
        name: of files and anchors.
        title: what a reader sees.
        draw: from the records to the figure.
        of_search: it is about sampled parameters, which planned cells do not have.
        on_dashboard: it is saved for the dashboard, which has the others itself.
    """

    name: str
    title: str
    draw: Callable[[pd.DataFrame], go.Figure]
    of_search: bool = False
    on_dashboard: bool = False


PLOTS = (
    Plot("history", "Optimisation history", optimisation_history),
    Plot("epochs", "Objective against epochs trained", objective_by_epochs, on_dashboard=True),
    Plot("time", "Objective against time", objective_by_time),
    Plot("parallel", "Parallel coordinates", parallel_coordinates, of_search=True),
    Plot("importances", "Importances of the parameters", parameter_importances, of_search=True),
    Plot("slices", "Objective against each parameter", slices, of_search=True),
    Plot("contours", "Contours of the objective", contours, of_search=True),
    Plot("imbalance", "Class weights and sampler", imbalance_answers, on_dashboard=True),
    Plot("curves", "Learning curves of all trials", learning_curves),
    Plot("confusion", "Confusion matrix of the best trial, beats", confusion_counts),
    Plot("shares", "Confusion matrix of the best trial, shares", confusion_shares),
    Plot("per-class", "Recall and precision per class", per_class_figures),
    Plot(
        "recall-precision",
        "Recall against precision per class, all trials",
        recall_by_precision,
        on_dashboard=True,
    ),
    Plot(
        "heartbeats",
        "Heartbeats of each class the best trial predicts rightly and wrongly (z-scored)",
        sample_heartbeats,
    ),
)
