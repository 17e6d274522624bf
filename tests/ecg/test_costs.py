"""What a network costs to use."""

import pytest
import torch

from ecg.costs import COSTS, cost_of
from ecg.errors import UsageError
from ecg.models import build, count_parameters
from ecg.training import TrainConfig
from study.wording import COST_TITLES

SMALL = {"model": "simple", "width_multiplier": 0.1}


def test_parameters_are_those_that_are_trained() -> None:
    config = TrainConfig.from_fields(SMALL)
    network = build("simple", **config.every_field())
    assert cost_of(config, "parameters") == count_parameters(network)


@pytest.mark.parametrize("fields", [{}, {"rhythm": "rr"}, {"logit_adjustment": 0.5}])
def test_latency_is_measured_and_nothing_else_notices(fields: dict[str, object]) -> None:
    # Rule: threads and random numbers of the process are afterwards what they were.
    torch.set_num_threads(2)
    torch.manual_seed(1)
    wanted = torch.rand(3)
    torch.manual_seed(1)
    assert 0 < cost_of(TrainConfig.from_fields(SMALL | fields), "latency") < 1000
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.rand(3), wanted)
    torch.set_num_threads(1)


def test_another_cost_is_refused_and_each_has_a_title() -> None:
    with pytest.raises(UsageError, match="Use one of: parameters, latency"):
        cost_of(TrainConfig(), "watts")
    assert set(COST_TITLES) == set(COSTS)
