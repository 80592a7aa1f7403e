"""Pruning a model that is trained: the network found is under the ceiling, and channels that say nothing go first."""

from dataclasses import replace

import torch
from torch import nn

from mixop import api
from mixop.data import digits
from mixop.nets.costs import measured
from mixop.nets.discrete import build
from mixop.nets.modules.space import in_module
from mixop.nets.modules.width import Width
from mixop.recipes import prune


class Twins(nn.Module):
    """Two branches of equal cost, one of which is multiplied by zero at the end and so adds nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.useful = nn.Linear(64, 32), Width(32, share="useful")
        self.b, self.useless = nn.Linear(64, 32), Width(32, share="useless")
        self.head, self.other = nn.Linear(32, 10), nn.Linear(32, 10)
        self.register_buffer("nothing", torch.zeros(10))

    def forward(self, x):
        x = x.flatten(1)
        used = self.head(self.useful(torch.relu(self.a(x))))
        return used + self.other(self.useless(torch.relu(self.b(x)))) * self.nothing


def _trained(data):
    """A model that was trained for a few steps."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Twins()
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    batch = data.batch(data.train)
    for _ in range(30):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(batch.x), batch.y).backward()
        optimiser.step()
    model.nothing.fill_(1e-3)  # so small that it changes nothing, and so that its channels are seen
    return model


def test_a_pretrained_model_is_pruned_where_it_costs_nothing(tmp_path):
    whole = digits(valid=0.5, seed=0)
    data = whole.with_indices(whole.train[:256], whole.valid[:256])
    model = _trained(data)
    space = in_module(model, pretrained=True)
    recipe = replace(prune(epochs=16, share=0.6), batch_size=32)
    found = api.search(recipe, space, data, tmp_path / "run", seed=0, threads=1)
    costs = measured(found.space, "flops")
    assert costs.of(found.architecture, found.space) <= 0.6 * costs.most()
    options = {name: float(chosen[0].option) for name, chosen in found.architecture.choices}
    assert options["useful"] > options["useless"]
    network = build(found.architecture, found.space)
    assert network.a.out_features == network.head.in_features == round(32 * options["useful"])
    assert torch.equal(network.a.weight, model.a.weight[: network.a.out_features])  # it begins from the model's weights
