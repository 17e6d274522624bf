"""All plots of a study by name: functions from a table of trials to a Plotly figure.

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
    per_class_scores,
    recall_by_precision,
)
from study.plots.curves import learning_curves
from study.plots.front import front_of, pareto_front
from study.plots.heartbeats import sample_heartbeats
from study.plots.history import objective_by_epochs, objective_by_time, optimisation_history
from study.plots.imbalance import imbalance_answers, winners
from study.plots.mistakes import confident_mistakes
from study.plots.parameters import (
    contours,
    importances,
    parallel_coordinates,
    parameter_importances,
    slices,
)
from study.plots.predictions import precision_recall_curves, reliability_diagram
from study.plots.published import published_table, published_tables
from study.plots.style import NothingToDrawError
from study.wording import has_several

__all__ = [
    "FRONT",
    "PLOTS",
    "NothingToDrawError",
    "Plot",
    "confident_mistakes",
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
    "per_class_scores",
    "plots_of",
    "precision_recall_curves",
    "published_table",
    "published_tables",
    "recall_by_precision",
    "reliability_diagram",
    "sample_heartbeats",
    "slices",
    "winners",
]


@dataclass(frozen=True)
class Plot:
    """One plot of a study.

    Attributes:
        name: name of its file, and what `study plots --only` takes.
        title: what a reader sees.
        draw: makes the figure from the trials of a study.
        shows: a sentence or two on what it shows and what it cannot show.
        part: part of a report: "winner", "mistakes", "search" or "more".
        of_search: needs sampled parameters, which planned runs do not have.
        on_dashboard: whether it is saved for the dashboard, which lacks a plot like it.
    """

    name: str
    title: str
    draw: Callable[[pd.DataFrame], go.Figure]
    shows: str
    part: str = "search"
    of_search: bool = False
    on_dashboard: bool = False


PLOTS = (
    Plot(
        "winners", "Best trial of each strategy", winners,
        "Every mark is a trial; a ring marks the best of its row by the objective, labelled with "
        "its difference from the baseline. The interval reflects the choice of validation beats, "
        "not the seed.",
        "winner", of_search=True, on_dashboard=True,
    ),
    Plot(
        "curves", "Learning curves", learning_curves,
        "Thick lines are the best trial and the baseline, thin lines the other trials; each ends "
        "where its trial stopped. The loss is unweighted, so all trials share one scale; a lower "
        "loss need not mean a higher score.",
        "winner",
    ),
    Plot(
        "confusion", "Confusion matrix of the best trial", confusion_matrix,
        "Rows are true classes, columns are predicted classes, and percentages are shares of the "
        "true class. Shares of a rare class rest on few beats.",
        "winner",
    ),
    Plot(
        "per-class", "Recall and precision per class", per_class_scores,
        "A line joins the best trial and the baseline in each class. A difference in a rare class "
        "may be a handful of beats.",
        "winner",
    ),
    Plot(
        "mistakes", "Mistakes made with the most confidence", confident_mistakes,
        "Each row is one of the eight pairs with the most mistakes, true class first, and shows "
        "the three of highest probability: record and time (min:s) lead to the place in the "
        "recording. A confident mistake may also be a wrong label.",
        "mistakes",
    ),
    Plot(
        "reliability", "Reliability of the probabilities", reliability_diagram,
        "Confidence is the probability of the predicted class, in 10 bins of equal width. Below "
        "the diagonal the network is too confident, above it too cautious. ECE, the expected "
        "calibration error, is the mean gap over all beats. Bars are 95% intervals of single "
        "bins, wide where a bin has few beats.",
        "mistakes", on_dashboard=True,
    ),
    Plot(
        "pr-curves", "Precision and recall at every threshold", precision_recall_curves,
        "Lines follow the threshold on the probability of a class; marks are the predictions as "
        "made, by the highest probability. AP, average precision, is the area under a line. For "
        "a rare class it rests on few beats.",
        "mistakes", on_dashboard=True,
    ),
    Plot(
        "history", "Optimisation history", optimisation_history,
        "The line is the best score so far. A flat end means that the search found nothing "
        "better, not that there is nothing better.",
        of_search=True,
    ),
    Plot(
        "imbalance", "Class weights and sampler", imbalance_answers,
        "Each panel shows only the trials that use its setting. A trend in one panel may come from "
        "the other setting, because both varied together.",
        of_search=True, on_dashboard=True,
    ),
    Plot(
        "slices", "Objective against each parameter", slices,
        "Each panel shows the trials that use its parameter. The sampler samples more where scores "
        "were good, so a crowded region is not evidence in itself.",
        of_search=True,
    ),
    Plot(
        "parallel", "Parallel coordinates", parallel_coordinates,
        "Each line is a complete trial, from its parameters down to its objective; the thick line "
        "is the best. Crossing lines hide how often a combination was tried.",
        of_search=True,
    ),
    Plot(
        "importances", "Importances of the parameters", parameter_importances,
        "How strongly a parameter separates the better trials from the others (PED-ANOVA), with "
        "an interval from resampling the trials. It does not show the direction of an effect, and "
        "holds only within the ranges searched.",
        of_search=True,
    ),
    Plot(
        "contours", "Contours of the objective", contours,
        "Colour is interpolated between the marked trials. Far from every mark it is a guess.",
        of_search=True,
    ),
    Plot(
        "recall-precision", "Recall against precision per class", recall_by_precision,
        "Up and to the right is better. A trial may gain in one class what it loses in another. "
        "Scores of rare classes move in steps of single beats.",
        "more", on_dashboard=True,
    ),
    Plot(
        "epochs", "Objective against epochs trained", objective_by_epochs,
        "Trials that stopped early had fewer epochs to improve in, so a rise to the right does not "
        "mean that longer training helps.",
        "more", on_dashboard=True,
    ),
    Plot(
        "time", "Objective against time", objective_by_time,
        "Seconds of training and validation. They depend on the machine and on what else it ran.",
        "more",
    ),
    Plot(
        "heartbeats", "Heartbeats that the best trial classifies correctly and wrongly",
        sample_heartbeats,
        "Rows are true classes; 'as V' means classified as V. These are the first validation beats "
        "of each outcome, z-scored as the network sees them: examples, not typical beats.",
        "more",
    ),
)  # fmt: skip
FRONT = Plot(
    "front",
    "Objectives against each other",
    pareto_front,
    "Ringed trials are the front: whatever is better than them in one objective is worse in "
    "another. With another seed, a trial near them may be on it.",
    "winner",
    of_search=True,
)


def plots_of(trials: pd.DataFrame) -> tuple[Plot, ...]:
    """Return the plots of a study: with several objectives, that of the front first.

    Args:
        trials: trials of one study.
    """
    return (FRONT, *PLOTS) if has_several(trials.attrs.get("identity", {})) else PLOTS
