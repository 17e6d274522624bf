"""Which optimizer, with which learning rate and weight decay.

SGD needs learning rates ten times those of Adam, and weight decay means different things: AdamW
shrinks the weights by it (times the learning rate), the others add it to the gradient as an L2
penalty. With one range for all, trials would be wasted where one optimizer diverges, and a sampler
would transfer what it learned about one optimizer to another. So each has its own parameters.
"""

from search_spaces.parameters import Choice, Real
from search_spaces.space import Space

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
