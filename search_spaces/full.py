"""Everything together: architecture, optimizer, scheduler, class weights and sampler."""

from search_spaces.optimizer import ADAM, SGD
from search_spaces.parameters import Choice, Real
from search_spaces.space import Space

SPACE = Space(
    name="full",
    description="architecture x optimizer x scheduler factor x alpha x ratio",
    parameters=(
        Choice("model", ("simple", "four-layer", "residual", "coupled")),
        Choice("optimizer", ("adamw", "adam", "sgd")),
        Real("learning_rate", 1e-4, 1e-2, log=True, when=ADAM),
        Real("sgd_learning_rate", 1e-3, 3e-1, log=True, when=SGD, sets="learning_rate"),
        Choice("scheduler", ("none", "plateau")),
        Real("scheduler_factor", 0.1, 0.9, when={"scheduler": ("plateau",)}),
        Choice("strategy", ("none", "class weights", "sampler", "both")),
        Real("alpha", 0.0, 1.0, when={"strategy": ("class weights", "both")}),
        Real("ratio", 0.05, 1.0, when={"strategy": ("sampler", "both")}),
    ),
    baseline={
        "model": "coupled",
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "scheduler": "none",
        "strategy": "none",
    },
    steering=("scheduler", "strategy"),
)
