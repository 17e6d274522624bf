"""The names and titles of the networks, without PyTorch: `ecg.models` builds them.

Lists of spaces, plans and configurations need no more than these, and PyTorch takes seconds to
import.
"""

from collections.abc import Mapping
from types import MappingProxyType

# What people type, and what tables print.
TITLES: Mapping[str, str] = MappingProxyType(
    {
        "simple": "Simple CNN",
        "four-layer": "Four-layer CNN",
        "residual": "Residual CNN",
        "coupled": "Coupled CNN",
        "coupled-tf": "Coupled CNN, Keras conventions",
    }
)
MODELS = tuple(TITLES)
# Of Adam and AdamW, where it is not PyTorch's 1e-8.
ADAM_EPSILON: Mapping[str, float] = MappingProxyType({"coupled-tf": 1e-7})
