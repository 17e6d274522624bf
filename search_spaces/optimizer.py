"""Which optimizer, with which learning rate and weight decay.

SGD takes learning rates ten times those of Adam, and decay means something else to each: AdamW
shrinks the weights by it (times the learning rate), the others add it to the gradient as an L2
penalty. One range for all would spend trials where one of them diverges, and let a sampler learn
from one about the other; each has its own parameters.
"""

from search_spaces.space import Choice, Real, Space

ADAM = {"optimizer": ("adamw", "adam")}
SGD = {"optimizer": ("sgd",)}

SPACE = Space(
    name="optimizer",
    description="Adam, AdamW or SGD with Nesterov momentum on the Coupled CNN",
    parameters=(
        Choice("optimizer", ("adamw", "adam", "sgd")),
        Real("learning_rate", 1e-4, 1e-2, log=True, when=ADAM),
        Real("sgd_learning_rate", 1e-3, 3e-1, log=True, when=SGD, sets="learning_rate"),
        Real("weight_decay", 1e-5, 1e-1, log=True, when={"optimizer": ("adamw",)}),
        Real(
            "l2_penalty",
            1e-6,
            1e-2,
            log=True,
            when={"optimizer": ("adam", "sgd")},
            sets="weight_decay",
        ),
        Real("momentum", 0.5, 0.99, when=SGD),
    ),
    baseline={"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-3},
)
