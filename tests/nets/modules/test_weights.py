"""The weights of a model with choices, under the names of the network that is built from it."""

import torch
from torch import Generator, nn

from mixop.nets.discrete import build
from mixop.nets.modules.choice import Choice, Pass, running
from mixop.nets.modules.space import in_module
from mixop.nets.modules.weights import sliced


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.op = Choice(
            {
                "near": nn.Sequential(nn.Conv1d(3, 3, 1), nn.BatchNorm1d(3)),
                "deep": nn.Sequential(nn.ReLU(), Choice({"a": nn.Conv1d(3, 3, 1), "b": nn.Conv1d(3, 3, 3, padding=1)})),
            }
        )

    def forward(self, x):
        return x + self.op(x)


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([_Block(), _Block()])
        self.head = nn.Linear(3, 2)
        self.tied = self.head

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.tied(x.mean(2))


def test_the_network_with_the_models_weights_is_the_model_with_one_option_each():
    space = in_module(_Net)
    model = space.make(Generator().manual_seed(1)).double().eval()
    x = torch.randn(4, 3, 5, generator=Generator().manual_seed(2), dtype=torch.float64)
    for architecture in space.architectures():
        network = build(architecture, space).double().eval()
        state = sliced(space, architecture, model.state_dict())
        assert set(state) == set(network.state_dict())
        network.load_state_dict(state)
        mix = {
            group.name: torch.tensor(
                [[float(any(c.option == o for c in architecture.of(group.name))) for o in group.decisions[0].options]],
                dtype=torch.float64,
            )
            for group in space.groups
        }
        with running(Pass(mix)):
            expected = model(x)
        torch.testing.assert_close(network(x), expected, rtol=1e-12, atol=1e-12)


def test_names_are_those_of_the_users_model_and_what_is_missing_stays_missing():
    space = in_module(_Net)
    architecture = space.from_native("blocks.0.op=near, blocks.1.op=deep, blocks.1.op.deep.1=b")
    state = {name: value for name, value in space.make().state_dict().items() if "running" not in name}
    names = set(sliced(space, architecture, state))
    assert {"blocks.0.op.0.weight", "blocks.1.op.1.weight", "head.weight", "tied.weight"} < names
    assert not any("running" in name or "options" in name for name in names)
