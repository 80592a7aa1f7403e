"""Sums over processes: their values, and their derivatives of first and second order against one process."""

import pytest
import torch
from ranked import together
from torch import Tensor

from mixop.core.errors import RunError
from mixop.core.launched import local_rank, processes, rank
from mixop.core.ranks import ALONE, Ranks, joined
from mixop.core.share import Share, present_share, shares, sharing


def test_shares_cover_a_batch_and_the_first_are_larger():
    assert [(share.start, share.stop) for share in shares(7, 3)] == [(0, 3), (3, 5), (5, 7)]
    assert sum(share.part for share in shares(7, 3)) == pytest.approx(1)


def test_a_pass_knows_its_share_until_it_ends():
    with sharing(Share(0, 2, 5)):
        assert present_share() == Share(0, 2, 5)
    assert present_share() is None


def test_a_batch_with_fewer_examples_than_processes_is_not_divided():
    assert [Ranks(0, 3).divide(count) for count in (2, 3)] == [False, True]
    assert not ALONE.divide(5)


def derivatives(ranks: Ranks) -> dict[str, list[Tensor]]:
    """Of a function of weights and examples: by one process, and by all."""
    generator = torch.Generator().manual_seed(0)
    x, k, w, unused = (torch.randn(size, generator=generator, dtype=torch.float64) for size in ((5, 3), (5,), (3,), (2,)))
    found = {}
    for name in ("one", "all"):
        weights = {"w": w.clone().requires_grad_(), "unused": unused.clone().requires_grad_(), "constant": w.clone()}
        if name == "one":
            y = (x * weights["w"]).tanh().sum(1) * weights["constant"].sum()
            term = y.square().mean()
        else:
            share, entered = ranks.share(5), ranks.entered(weights)
            own = (x[share.rows] * entered["w"]).tanh().sum(1) * entered["constant"].sum()
            assert not entered["constant"].requires_grad
            y, term = ranks.whole(own, share), ranks.total(own.square().mean() * share.part)
        loss = (y * k).sin().sum() + term
        first, none = torch.autograd.grad(loss, [weights["w"], weights["unused"]], create_graph=True, allow_unused=True)
        assert none is None
        (second,) = torch.autograd.grad((first * w.cos()).sum(), weights["w"], create_graph=True)
        (third,) = torch.autograd.grad(second.square().sum(), weights["w"])
        found[name] = [loss.detach(), first.detach(), second.detach(), third]
    return found


def test_derivatives_of_any_order_are_those_of_the_whole_batch(tmp_path):
    for found in together(3, tmp_path, derivatives):
        for ours, theirs in zip(found["all"], found["one"], strict=True):
            torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-10, atol=1e-12)


def talk(ranks: Ranks) -> tuple[list[float], str, Ranks]:
    ranks.check_same("abc123", "searches")
    try:
        ranks.check_same(f"{ranks.rank}", "searches")
    except RunError as error:
        said = str(error)
    return ranks.largest(float(ranks.rank), -float(ranks.rank)), said, joined("cpu")


def test_processes_agree(tmp_path):
    for number, (largest, said, found) in enumerate(together(2, tmp_path, talk)):
        assert largest == [1, 0]
        assert said == "The 2 processes were given different searches: start all of them with the same command."
        assert found == Ranks(number, 2), "a group that is there is used"


def test_what_torchrun_says_is_read(monkeypatch):
    assert (processes(), rank(), local_rank()) == (1, 0, 0)
    assert joined("cpu") == ALONE
    for name, value in (("RANK", "3"), ("LOCAL_RANK", "1"), ("WORLD_SIZE", "4"), ("MASTER_ADDR", "localhost")):
        monkeypatch.setenv(name, value)
    assert (processes(), rank(), local_rank()) == (4, 3, 1)
