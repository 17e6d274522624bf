"""How to keep the Coupled CNN from learning its training beats by heart.

Why these ranges. Averages of weights generalise better, resist label noise and need less decay of
the learning rate (arXiv 2411.18704): a decay of 0.99 looks back 100 steps, 0.9995 two epochs of
all beats. Mixed pairs helped on six physiological data sets without tuning (arXiv 2309.09970);
alpha up to 0.4, where most mixed beats are still nearly one of the two, which is the upper end
of what Zhang et al. 2018 (arXiv 1710.09412) advise. Label smoothing up to 0.1, the value of
Szegedy et al. 2016 (arXiv 1512.00567). Jitter from none to changes that leave a beat's class
alone (`ecg.training.augment`). Wider, shallower networks with small kernels did best on ECGs
(arXiv 2308.12492), so width goes up to twice the published one, and the kernel from 3 to 9 with
5 the published; dropout from none to 1.6 times. A warm-up of up to three epochs is a quarter of
the budget `short`.

The plateau is left out: the space `scheduler` searches it.
"""

from search_spaces.space import Choice, Real, Space, Whole

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
