"""Drawn architectures: kept as they were drawn, counted, and distributed as the mixing weights say."""

from collections import Counter

import pytest
import torch
from torch import Generator

from mixop.core.errors import RecipeError, RunError
from mixop.monitors.base import Continue
from mixop.monitors.exploration import Exploration, by_weight, drawn_architectures
from mixop.relax import Dirichlet, HardConcrete, Softmax
from mixop.spaces import darts, nasbench1shot1


def test_draws_are_kept_epoch_by_epoch_and_counted(view):
    search = view(drawable=["a", "b", "\n|c~0|"], generator=Generator().manual_seed(0))
    again = Generator().manual_seed(0)
    monitor, wanted = Exploration(samples=8), []
    for search.epoch in range(3):
        if search.epoch == 2:
            search.drawable = ["a"]
        assert monitor(search) == Continue()
        wanted.append([search.drawable[int(torch.randint(len(search.drawable), (1,), generator=again))] for _ in range(8)])
        assert monitor.columns(search) == {"distinct_share": len(set(wanted[-1])) / 8}
    assert drawn_architectures(search.memory) == dict(enumerate(wanted))
    assert wanted[-1] == ["a"] * 8
    assert drawn_architectures({}) == {}
    search.memory["Exploration.drawn.1"] = search.memory["Exploration.drawn.1"][:-3]
    with pytest.raises(RunError, match="that Exploration drew are damaged"):
        drawn_architectures(search.memory)


def test_by_weight_an_option_is_as_frequent_as_it_weighs(view):
    """Each decision by itself: five standard errors of a share of 1,000 draws, and nothing that weighs nothing."""
    row = [0.0, 0.5, 0.3, 0.2, 0.0]
    search = view(weights=[row], generator=Generator().manual_seed(1))
    Exploration(samples=1000, by="weights")(search)
    drawn = drawn_architectures(search.memory)[0]
    options = search.space.groups[0].decisions[0].options
    for decision in range(6):
        found = Counter(search.space.from_native(native).of("cell")[decision].option for native in drawn)
        for option, weight in zip(options, row, strict=True):
            assert abs(found[option] / 1000 - weight) <= 5 * (weight * (1 - weight) / 1000) ** 0.5


def test_by_weight_cells_that_keep_some_edges_keep_the_strongest_of_what_was_drawn():
    space = darts()
    mean = {group.name: torch.full(group.shape, 1e-6) for group in space.groups}
    for group in space.groups:
        mean[group.name][:, 1] = 1.0
        mean[group.name][:2, 1], mean[group.name][:2, 0] = 0.1, 0.9  # mostly none, which an architecture does not have
        mean[group.name][2::3, 1] = 0.99
    found = by_weight(mean, space, Generator().manual_seed(0))
    for group in space.groups:
        choices = found.of(group.name)
        assert len(choices) == 8
        assert {choice.decision for choice in choices} >= {0, 1}
        assert not any(group.is_absent(choice.option) for choice in choices)


def test_what_has_no_probabilities_is_refused():
    with pytest.raises(RecipeError, match=r"those of HardConcrete are not: use by='draw'"):
        Exploration(by="weights").check(HardConcrete(), darts(), 0.0)
    with pytest.raises(RecipeError, match="takes several: use by='draw'"):
        Exploration(by="weights").check(Softmax(), nasbench1shot1(), 0.0)
    Exploration().check(HardConcrete(), darts(), 0.0)
    Exploration(by="weights").check(Dirichlet(), darts(), 0.0)
    with pytest.raises(RecipeError, match="samples of Exploration"):
        Exploration(samples=1)
    with pytest.raises(RecipeError, match="way to draw architectures"):
        Exploration(by="mean")
