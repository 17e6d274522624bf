"""The options of `run`: what is searched or trained, on which data, and how."""

from pathlib import Path
from typing import Annotated

import typer

from ecg.console import as_path

Space = Annotated[
    str | None,
    typer.Option(
        help="A space to search (see `spaces`), a .py file that defines one, a published table "
        "(table1 ... table5), or tables for all five.",
        show_default="imbalance",
    ),
]
Trials = Annotated[
    int | None,
    typer.Option(help="Stop after this many finished trials.", show_default="by budget"),
]
Seeds = Annotated[
    int | None,
    typer.Option(help="Seeds per configuration of a table.", show_default="1"),
]
Timeout = Annotated[
    float | None,
    typer.Option(help="Start no new trial after this many seconds.", show_default="no limit"),
]
StudyName = Annotated[
    str | None,
    typer.Option(
        help="Name of the study. An existing study keeps the settings that are not typed.",
        show_default="SPACE-SOURCE-SPLIT-BUDGET",
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        help="intra-patient (beat by beat) or inter-patient (DS1/DS2).",
        show_default="intra-patient",
    ),
]
Resplit = Annotated[
    bool,
    typer.Option("--resplit", help="Draw a new intra-patient split for every seed (tables only)."),
]
RecordsFile = Annotated[
    Path | None,
    typer.Option(
        help="TOML file that lists the records of each part of an inter-patient split.",
        show_default="none",
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(help="smoke, quick, short or paper.", show_default="paper on a GPU, else quick"),
]
Seed = Annotated[
    int | None,
    typer.Option(help="Seed of the sampler and of all training runs.", show_default="0"),
]
Sampler = Annotated[
    str | None,
    typer.Option(help="tpe, random, gp, grid, or nsga2 with --objectives.", show_default="tpe"),
]
Pruner = Annotated[
    str | None, typer.Option(help="median, hyperband or none.", show_default="median")
]
PrunePatience = Annotated[
    int | None,
    typer.Option(
        help="Ask the pruner only after this many epochs without a better loss; 0: always.",
        show_default="1 at short and paper, else 0",
    ),
]
PruneWarmUp = Annotated[
    int | None,
    typer.Option(
        help="Epochs of a trial before the pruner is first asked.",
        show_default="10 % of the budget's, at least 2",
    ),
]
PruneStartup = Annotated[
    int | None,
    typer.Option(help="Finished trials before the median pruner prunes.", show_default="4"),
]
Objectives = Annotated[
    str | None,
    typer.Option(
        help="Search a front: a score, then scores, parameters or latency. Nothing is pruned.",
        show_default="that of the space",
    ),
]
Repeats = Annotated[
    int | None,
    typer.Option(
        help="Train each configuration of a search with this many seeds and compare means.",
        show_default="1",
    ),
]
StopAfter = Annotated[
    int | None,
    typer.Option(
        help="Stop after this many finished trials in a row without a gain beyond noise.",
        show_default="0: never",
    ),
]
FromStudy = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="Train the best configurations of this study and its baseline at a larger --budget.",
        show_default="none",
    ),
]
WarmStart = Annotated[
    str | None,
    typer.Option(
        help="First try the best configurations of this study of the same space.",
        show_default="none",
    ),
]
Top = Annotated[
    int | None,
    typer.Option(
        help="Number of best configurations for --from and --warm-start.", show_default="8"
    ),
]
Replay = Annotated[
    Path | None,
    typer.Option(
        parser=as_path,
        metavar="PATH",
        help="Follow recorded curves (see `record`) instead of training.",
        show_default="none",
    ),
]
