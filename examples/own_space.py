"""A search space of your own: how large a network, and how much dropout.

python -m study run --space examples/own_space.py
"""

from search_spaces import Choice, Real, Space, Whole

SPACE = Space(
    name="size",
    description="network, width, dropout and batch size",
    parameters=(
        Choice("model", ("coupled", "simple")),
        Real("width_multiplier", 0.25, 1.0, log=True),
        # The Simple CNN has no dropout, so this parameter exists only with the Coupled CNN.
        Real("dropout_multiplier", 0.0, 2.0, when={"model": ("coupled",)}),
        Whole("batch_size", 32, 128),
    ),
    baseline={
        "model": "coupled",
        "width_multiplier": 1.0,
        "dropout_multiplier": 1.0,
        "batch_size": 64,
    },
    objective="f1_macro",
)
