"""Whether to show the Coupled CNN the rhythm, and what then suits it.

Why these ranges. A beat of class S is defined by coming early, and the window begins at its R peak:
neither the interval before it nor the P wave is in it. Four numbers of the RR intervals bring the
first back (`ecg.rhythm`). Logit adjustment (arXiv 2007.07314) costs no training; tau from -0.5 to
0.5 keeps to corrections of half the class frequencies, and it is chosen on the validation part.
Unknown patients ask for more regularisation than known ones, so averaged weights, mixup and
jitter are searched too, in the ranges of `regularise` (sources there). Only where the data tell
their records, and never beside published figures, which were found without the rhythm.
"""

from search_spaces.space import Choice, Real, Space

SPACE = Space(
    name="rhythm",
    description="RR intervals beside the beat, logit adjustment, averaged weights, mixup, jitter",
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
