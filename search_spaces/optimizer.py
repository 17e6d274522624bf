"""Which optimizer, with which learning rate and weight decay."""

from search_spaces.space import Choice, Real, Space

SPACE = Space(
    name="optimizer",
    description="Adam, AdamW or SGD with Nesterov momentum on the Coupled CNN",
    parameters=(
        Choice("optimizer", ("adamw", "adam", "sgd")),
        Real("learning_rate", 1e-4, 1e-1, log=True),
        Real("weight_decay", 1e-6, 1e-1, log=True),
        Real("momentum", 0.5, 0.99, when={"optimizer": ("sgd",)}),
    ),
    baseline={"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-3},
)
