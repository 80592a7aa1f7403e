"""Relevance: the ranking is that of gamma, not of the weights."""

import torch

from mixop.derive.relevance import Relevance
from mixop.spaces import nasbench201


def test_gamma_ranks_the_options_and_drops_what_has_vanished(trained):
    gamma = torch.zeros(6, 6)
    gamma[:, 0] = 9.0  # of the edges: not an option
    gamma[:, 1 + 3], gamma[:, 1 + 1] = 2.0, 1.0
    gamma[2, 1:] = 0.01
    view = trained(None, torch.full((6, 5), 0.2), space=nasbench201(), memory={"SwitchPenalty.gamma.cell": gamma})
    want = ["nor_conv_3x3"] * 6
    want[2] = "none"
    assert list(Relevance(threshold=0.05).final(view).options()) == want
    want[2] = "skip_connect"
    assert list(Relevance(threshold=0.0).final(view).options()) == want


def test_before_the_end_the_weights_are_shown():
    weights = torch.zeros(6, 5)
    weights[:, 4] = 1.0
    assert set(Relevance()({"cell": weights}, nasbench201()).options()) == {"avg_pool_3x3"}
