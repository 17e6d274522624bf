"""All plots of a study by name: functions from trial records to a Plotly figure.

from study import load_trials
from study.plots import optimisation_history
optimisation_history(load_trials("sqlite:///results/study.db", "my-study")).show()
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from study.plots.classes import (
    confusion_matrix,
    per_class_figures,
    recall_by_precision,
)
from study.plots.curves import learning_curves
from study.plots.front import front_of, pareto_front
from study.plots.heartbeats import sample_heartbeats
from study.plots.history import objective_by_epochs, objective_by_time, optimisation_history
from study.plots.imbalance import imbalance_answers, winners
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
    "confusion_matrix",
    "contours",
    "front_of",
    "imbalance_answers",
    "importances",
    "learning_curves",
    "objective_by_epochs",
    "objective_by_time",
    "optimisation_history",
    "parallel_coordinates",
    "parameter_importances",
    "pareto_front",
    "per_class_figures",
    "published_table",
    "published_tables",
    "recall_by_precision",
    "sample_heartbeats",
    "slices",
    "winners",
]


@dataclass(frozen=True)
class Plot:
    """One plot of a study.

    Attributes:
        name: of files and anchors.
        title: what a reader sees.
        draw: from the records to the figure.
        shows: one sentence on what it shows and what it cannot.
        part: of a report: "winner", "search" or "more".
        of_several: it is of studies with several objectives.
        of_search: it is about sampled parameters, which planned runs do not have.
        on_dashboard: it is saved for the dashboard, which has the others itself.
    """

    name: str
    title: str
    draw: Callable[[pd.DataFrame], go.Figure]
    shows: str
    part: str = "search"
    of_search: bool = False
    of_several: bool = False
    on_dashboard: bool = False


PLOTS = (
    Plot(
        "front", "Objectives against each other", pareto_front,
        "Ringed trials are the front: whatever is better than them in one objective is worse in "
        "another. Another seed may put a trial near the line on it.",
        "winner", of_search=True, of_several=True,
    ),
    Plot(
        "winners", "Which one wins, and by how much", winners,
        "Every mark is a trial; the ringed one is the best of its row, with its difference from "
        "the baseline. The interval covers the choice of validation beats, not that of the seed.",
        "winner", of_search=True, on_dashboard=True,
    ),
    Plot(
        "curves", "Learning curves", learning_curves,
        "Thick lines are the best trial and the baseline, thin ones the other trials, each up to "
        "where it stopped. The loss is unweighted, so all trials share one scale; a lower loss "
        "need not mean a higher score.",
        "winner",
    ),
    Plot(
        "confusion", "Confusion matrix of the best trial", confusion_matrix,
        "Rows are the true classes, columns the predicted ones, percentages are shares of the "
        "true class. Shares of a rare class rest on few beats.",
        "winner",
    ),
    Plot(
        "per-class", "Recall and precision per class", per_class_figures,
        "A line joins the best trial and the baseline, class by class. A difference in a rare "
        "class may be a handful of beats.",
        "winner",
    ),
    Plot(
        "history", "Optimisation history", optimisation_history,
        "The line is the best trial so far. A flat end means that the search found nothing "
        "better, not that there is nothing better.",
        of_search=True,
    ),
    Plot(
        "imbalance", "Class weights and sampler", imbalance_answers,
        "Each panel has only the trials that use its setting. A trend in one panel may come from "
        "the other setting, as both were varied together.",
        of_search=True, on_dashboard=True,
    ),
    Plot(
        "slices", "Objective against each parameter", slices,
        "Each panel has the trials that use this parameter. The sampler looks longer where "
        "scores were good, so crowded places are no evidence by themselves.",
        of_search=True,
    ),
    Plot(
        "parallel", "Parallel coordinates", parallel_coordinates,
        "One line per complete trial, from its parameters down to its objective; the thick one "
        "is the best. Crossing lines hide how often a combination was tried.",
        of_search=True,
    ),
    Plot(
        "importances", "Importances of the parameters", parameter_importances,
        "How far a parameter sets the better trials apart from the others, with an interval from "
        "resampling the trials. It says nothing of the direction, nor beyond the ranges searched.",
        of_search=True,
    ),
    Plot(
        "contours", "Contours of the objective", contours,
        "Colour is interpolated between the marked trials. Where no mark is near, it is a guess.",
        of_search=True,
    ),
    Plot(
        "recall-precision", "Recall against precision per class", recall_by_precision,
        "Up and to the right is better, and a trial may gain in one class what it loses in "
        "another. Rare classes move in steps of single beats.",
        "more", on_dashboard=True,
    ),
    Plot(
        "epochs", "Objective against epochs trained", objective_by_epochs,
        "Trials that stopped early had the chance of fewer epochs, so a rise to the right does "
        "not mean that longer training helps.",
        "more", on_dashboard=True,
    ),
    Plot(
        "time", "Objective against time", objective_by_time,
        "Seconds of training and validation. They depend on the machine and what else ran on it.",
        "more",
    ),
    Plot(
        "heartbeats", "Heartbeats that the best trial predicts rightly and wrongly",
        sample_heartbeats,
        "Rows are true classes, and 'as V' means taken for V. The first validation beats of each "
        "outcome, z-scored as the network sees them: examples, not typical ones.",
        "more",
    ),
)  # fmt: skip
