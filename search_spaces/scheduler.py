"""Whether and how to lower the learning rate on a plateau of the validation loss."""

from search_spaces.parameters import Choice, Real, Whole
from search_spaces.space import Space

SPACE = Space(
    name="scheduler",
    description="no scheduler, or reduce on plateau with a factor and a patience",
    parameters=(
        Choice("scheduler", ("none", "plateau")),
        Real("scheduler_factor", 0.1, 0.9, when={"scheduler": ("plateau",)}),
        Whole("scheduler_patience", 1, 8, when={"scheduler": ("plateau",)}),
    ),
    baseline={"scheduler": "none"},
    steering=("scheduler",),
)
