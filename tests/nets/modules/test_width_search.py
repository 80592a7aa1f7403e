"""Searches over widths: by the full mixture and by sampled slices; stopped and resumed, they end as if left alone."""

import signal
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn

from mixop import api
from mixop.data import digits
from mixop.nets.discrete import build
from mixop.nets.modules.space import in_module
from mixop.nets.modules.width import Width
from mixop.recipes import RECIPES
from mixop.runs import checkpoint
from mixop.runs.interrupt import InterruptedRunError
from mixop.testing import first_difference


class Small(nn.Module):
    def __init__(self, outputs: int = 10) -> None:
        super().__init__()
        self.stem, self.norm, self.width = nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), Width(8, (0.25, 0.5, 1))
        self.inner, self.norm2, self.width2 = nn.Conv2d(8, 6, 3, padding=1), nn.BatchNorm2d(6), Width(6, (0.5, 1))
        self.head = nn.Linear(6, outputs)

    def forward(self, x):
        x = self.width(torch.relu(self.norm(self.stem(x))))
        x = self.width2(torch.relu(self.norm2(self.inner(x))))
        return self.head(x.mean((2, 3)))


@cache
def _data():
    whole = digits(valid=0.5, seed=0)
    return whole.with_indices(whole.train[:48], whole.valid[:48])


def _search(name, out, observe=None):
    recipe = replace(RECIPES[name](), epochs=2, batch_size=16, warmup=0)
    return api.search(recipe, in_module(Small), _data(), out, seed=1, threads=1, checkpoint_seconds=0, observe=observe)


@pytest.mark.parametrize(
    "name", ["darts", "gdas", *(pytest.param(name, marks=pytest.mark.slow) for name in ("proxylessnas", "gaea"))]
)
def test_a_stopped_search_over_widths_ends_bit_for_bit_like_one_left_alone(name, tmp_path):
    def stop(record):
        if record.get("event") == "step" and (record["epoch"], record["step"]) == (1, 2):
            signal.raise_signal(signal.SIGTERM)

    whole = _search(name, tmp_path / "whole")
    with pytest.raises(InterruptedRunError, match="mixop resume"):
        _search(name, tmp_path / "torn", stop)
    torn = api.resume(tmp_path / "torn", _data())
    states = [checkpoint.load(tmp_path / run / "state.pt")["search"] for run in ("whole", "torn")]
    assert first_difference(*states) is None
    assert whole.architecture == torn.architecture
    network = build(whole.architecture, whole.space)
    sizes = {group.name: whole.architecture.of(group.name)[0].option for group in whole.space.groups}
    assert network.stem.out_channels == round(8 * float(sizes["width"]))
    assert network.inner.out_channels == network.head.in_features == round(6 * float(sizes["width2"]))
