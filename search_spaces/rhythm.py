"""Whether to give the Coupled CNN the rhythm, and which settings then suit it.

Reasons for the ranges. A beat of class S is defined by coming early, but the window begins at its
R peak and contains neither the interval before it nor the P wave. Four numbers of the RR intervals
restore the interval (`ecg.rhythm`). Logit adjustment (arXiv 2007.07314) needs no further training;
tau is chosen on the validation part from -0.5 to 0.5, which corrects up to the square root of the
class frequencies. Unseen patients need more regularisation than known ones, so averaged weights,
mixup and jitter are searched too, with the ranges and sources of `regularise`.

The space needs data with record numbers. Its scores must not be compared with published ones,
which were reached without the rhythm.
"""

from search_spaces.parameters import Choice, Real
from search_spaces.space import Space

SPACE = Space(
    name="rhythm",
    description="RR intervals added to the beat, logit adjustment, averaged weights, mixup, jitter",
    parameters=(
        Choice("rhythm", (None, "rr")),
        Choice("logit_adjustment", (0.0, 0.5)),
        Choice("averaging", ("none", "ema")),
        Real("ema", 0.99, 0.9995, when={"averaging": ("ema",)}),
        Real("mixup", 0.0, 0.4),
        Real("jitter", 0.0, 1.0),
        Real("dropout_multiplier", 0.0, 1.6),
    ),
    baseline={
        "rhythm": None,
        "logit_adjustment": 0.0,
        "averaging": "none",
        "mixup": 0.0,
        "jitter": 0.0,
        "dropout_multiplier": 1.0,
    },
    steering=("averaging",),
)
