"""Two networks of your own, searched together with the Simple CNN.

python -m study run --space examples/own_network.py
"""

from torch import Tensor, nn

from search_spaces import Choice, Space, Whole, network


@network("gru", title="GRU")
class Gru(nn.Module):
    def __init__(self, units: int) -> None:
        super().__init__()
        self.gru = nn.GRU(11, units, batch_first=True)
        self.head = nn.Linear(units, 5)

    def forward(self, beats: Tensor) -> Tensor:
        steps, _ = self.gru(beats.reshape(-1, 17, 11))  # (batch, 1, 187) as 17 steps of 11 samples
        return self.head(steps[:, -1])


@network("depthwise", title="Depthwise CNN")
def depthwise(units: int, blocks: int) -> nn.Module:
    layers = [nn.Conv1d(1, units, 7, stride=2)]
    for _ in range(blocks):
        layers += [nn.Conv1d(units, units, 5, padding=2, groups=units), nn.Conv1d(units, units, 1)]
        layers += [nn.BatchNorm1d(units), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(units, 5))


SPACE = Space(
    name="own-network",
    description="the Simple CNN, a GRU and a depthwise CNN",
    parameters=(
        Choice("model", ("simple", "gru", "depthwise")),
        Whole("units", 8, 64, when={"model": ("gru", "depthwise")}),
        Whole("blocks", 1, 4, when={"model": ("depthwise",)}),
    ),
    baseline={"model": "simple"},
)
