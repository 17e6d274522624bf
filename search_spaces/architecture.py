"""Which network, and how much its shape differs from the published one."""

from search_spaces.parameters import Choice, Real
from search_spaces.space import Space

SPACE = Space(
    name="architecture",
    description="the four networks, their width, kernel size and dropout",
    parameters=(
        Choice("model", ("simple", "four-layer", "residual", "coupled")),
        Real("width_multiplier", 0.5, 2.0, step=0.5),
        Real("kernel_multiplier", 0.6, 1.8, step=0.4),  # 3, 5, 7, 9
        Real("dropout_multiplier", 0.0, 1.6),
    ),
    baseline={
        "model": "coupled",
        "width_multiplier": 1.0,
        "kernel_multiplier": 1.0,
        "dropout_multiplier": 1.0,
    },
)
