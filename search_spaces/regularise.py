"""How to keep the Coupled CNN from overfitting its training beats.

Reasons for the ranges. Averaged weights generalise better, resist label noise and need less decay
of the learning rate (arXiv 2411.18704): a decay of 0.99 covers about 100 steps, 0.9995 two epochs
of all beats. Mixup helped on six physiological data sets without tuning (arXiv 2309.09970). Its
alpha goes up to 0.4, the upper end of the advice of Zhang et al. 2018 (arXiv 1710.09412), where
most mixed beats are still close to one of the two. Label smoothing goes up to 0.1, the value of
Szegedy et al. 2016 (arXiv 1512.00567). Jitter goes up to changes that preserve the class of a beat
(`ecg.training.augment`). Wider, shallower networks with small kernels did best on ECGs (arXiv
2308.12492), so the width goes up to twice the published one and the kernel from 3 to 9, where 5 is
the published size. Dropout goes from none to 1.6 times the published one. A warm-up of up to three
epochs is a quarter of the budget `short`.

The plateau scheduler is left out, because the space `scheduler` searches it.
"""

from search_spaces.parameters import Choice, Real, Whole
from search_spaces.space import Space

SPACE = Space(
    name="regularise",
    description="averaged weights, schedule, smoothing, mixup, jitter, dropout, width and kernel",
    parameters=(
        Choice("averaging", ("none", "ema")),
        Real("ema", 0.99, 0.9995, when={"averaging": ("ema",)}),
        Choice("schedule", (None, "cosine")),
        Whole("warm_up", 0, 3, when={"schedule": ("cosine",)}),
        Real("label_smoothing", 0.0, 0.1),
        Real("mixup", 0.0, 0.4),
        Real("jitter", 0.0, 1.0),
        Real("dropout_multiplier", 0.0, 1.6),
        Real("width_multiplier", 0.5, 2.0, step=0.5),
        Real("kernel_multiplier", 0.6, 1.8, step=0.4),  # 3, 5, 7, 9
    ),
    baseline={
        "averaging": "none",
        "schedule": None,
        "label_smoothing": 0.0,
        "mixup": 0.0,
        "jitter": 0.0,
        "dropout_multiplier": 1.0,
        "width_multiplier": 1.0,
        "kernel_multiplier": 1.0,
    },
    steering=("averaging",),
)
