"""How to handle class imbalance: class weights, a sampler, both, or neither."""

from search_spaces.parameters import Choice, Real
from search_spaces.space import Space

SPACE = Space(
    name="imbalance",
    description="class weights (alpha) and sampler (ratio) on the Coupled CNN, AdamW",
    parameters=(
        Choice("strategy", ("none", "class weights", "sampler", "both")),
        Real("alpha", 0.0, 1.0, when={"strategy": ("class weights", "both")}),
        Real("ratio", 0.05, 1.0, when={"strategy": ("sampler", "both")}),
    ),
    baseline={"strategy": "none"},
    objective="f1_macro",
    steering=("strategy",),
)
