"""Own networks in a space file: each is built and trained on two beats before any trial."""

from pathlib import Path

import pytest
import torch
from torch import nn

from ecg.errors import UsageError
from ecg.models import build
from ecg.networks import MODELS, find_network
from ecg.training import TrainConfig
from search_spaces import find_space

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_network.py"
HEAD = """\
import torch
from torch import nn
from search_spaces import Choice, Real, Space, Whole, network

"""
TINY = """\
@network("tiny", title="Tiny")
def tiny(blocks):
    return nn.Sequential(nn.Flatten(), nn.Linear(187, 5 * blocks), nn.Linear(5 * blocks, 5))

"""
SPACE = """\
SPACE = Space(
    name="mine",
    description="mine",
    parameters=(Choice("model", ("tiny",)), Whole("blocks", 1, 4)),
    baseline={"model": "tiny", "blocks": 2},
)
"""


def write(folder: Path, networks: str = TINY, space: str = SPACE, name: str = "mine.py") -> str:
    path = folder / name
    path.write_text(HEAD + networks + space)
    return str(path)


def test_an_own_network_is_a_model_with_its_own_parameters(tmp_path: Path) -> None:
    space = find_space(write(tmp_path))
    config = space.configure({"model": "tiny", "blocks": 3})
    assert config.to_fields()["blocks"] == 3
    assert TrainConfig.from_fields(config.to_fields()) == config
    assert config.digest != space.configure({"model": "tiny", "blocks": 2}).digest
    assert find_network("tiny").title == "Tiny"
    network = build("tiny", **config.to_fields())
    assert network(torch.zeros(3, 1, 187)).shape == (3, 5)
    assert hash(config) == hash(config.replace())


def test_an_edit_changes_what_is_searched(tmp_path: Path) -> None:
    # Rule: the digest of a space includes the source of its networks, but not its path.
    first = find_space(write(tmp_path)).digest
    assert find_space(write(tmp_path, name="moved.py")).digest == first
    edited = TINY.replace("nn.Flatten(), ", "nn.Flatten(), nn.ReLU(), ")
    assert find_space(write(tmp_path, edited)).digest != first


def test_a_network_may_take_fields_of_the_configuration(tmp_path: Path) -> None:
    taking = TINY.replace("(blocks)", "(blocks, dropout_multiplier, rhythm)").replace(
        "187", "187 + 4 * bool(rhythm)"
    )
    ranges = SPACE.replace("4)),", '4), Choice("rhythm", (None, "rr"))),')
    space = find_space(write(tmp_path, taking, ranges.replace("2}", '2, "rhythm": None}')))
    config = space.configure({"model": "tiny", "blocks": 1, "rhythm": "rr"})
    assert build("tiny", **config.to_fields())(torch.zeros(2, 1, 191)).shape == (2, 5)


BROKEN = {
    "another shape": (
        TINY.replace("blocks, 5)", "blocks, 4)"),
        r"mine\.py:5: the network 'tiny' with blocks = 2 turns beats \(2, 1, 187\) into \(2, 4\)",
    ),
    "two inputs": (
        '@network("tiny")\nclass Tiny(nn.Module):\n    def __init__(self, blocks):\n'
        "        super().__init__()\n    def forward(self, beats, more):\n        return beats\n",
        r"mine\.py:5: the network 'tiny' .* does not train .* TypeError: .*'more'",
    ),
    "a fault": (
        TINY.replace("    return", "    blocks / 0\n    return"),
        r"mine\.py:7: the network 'tiny' with blocks = 2 does not train .*ZeroDivisionError",
    ),
    "a fault at an end": (
        TINY.replace("    return", "    if blocks == 4:\n        raise OSError\n    return"),
        r"mine\.py:8: the network 'tiny' with blocks = 4 does not train .*OSError",
    ),
    "no module": (
        '@network("tiny")\ndef tiny(blocks):\n    return blocks\n',
        r"mine\.py:5: the network 'tiny' .* must be an nn\.Module, not 2",
    ),
    "nothing to train": (
        '@network("tiny")\ndef tiny(blocks):\n'
        "    return nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(5))\n",
        r"mine\.py:5: the network 'tiny' .* does not train .*RuntimeError",
    ),
    "a parameter missing": (
        TINY.replace("(blocks)", "(blocks, more)"),
        r"mine\.py:5: the network 'tiny' .* does not train .*TypeError: .*'more'",
    ),
    "a shipped name": (
        TINY.replace('"tiny"', '"coupled"'), r"^\S+mine\.py:5: .* 'coupled': .* already shipped",
    ),
    "a name twice": (TINY + TINY, r"mine\.py:9: .* 'tiny': .* already defined on line 5"),
    "no name": (
        TINY.replace('@network("tiny", title="Tiny")', "@network"),
        r"mine\.py:5: @network needs a name",
    ),
    "no numbers": (
        TINY.replace("blocks, 5))", "blocks, 5), nn.Threshold(9e9, float('nan')))"),
        r"mine\.py:5: .* returns logits that are not finite numbers",
    ),
    "unnamed parameters": (TINY.replace("(blocks)", "(**all)"), r"without \* or \*\*"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_network_is_named_with_file_and_line(tmp_path: Path, case: str) -> None:
    networks, message = BROKEN[case]
    with pytest.raises(UsageError, match=message):
        find_space(write(tmp_path, networks))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('Whole("blocks", 1, 4)', 'Whole("blokcs", 1, 4)', "'blokcs' is neither a field"),
        ('("tiny",)', '("tiny", "simple")', "has no field 'blocks'"),
        ("4))", '4), Real("width_multiplier", 0.5, 1))', "does not take width_multiplier"),
        ('("tiny",)', '("tyni",)', "unknown model 'tyni'"),
    ],
)
def test_a_space_that_does_not_fit_its_network_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in SPACE
    with pytest.raises(UsageError, match=message):
        find_space(write(tmp_path, space=SPACE.replace(old, new)))


def test_the_check_leaves_random_numbers_as_they_were(tmp_path: Path) -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    find_space(write(tmp_path))
    assert (torch.random.get_rng_state() == before).all()


def test_shipped_networks_are_in_the_same_registry() -> None:
    for name in MODELS:
        assert isinstance(find_network(name).make({"width_multiplier": 0.1}), nn.Module)


def test_the_example_has_a_gru_and_a_depthwise_network() -> None:
    space = find_space(str(EXAMPLE))
    assert {one.title for one in space.own_networks()} == {"GRU", "Depthwise CNN"}
