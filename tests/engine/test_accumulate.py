"""A batch in pieces: the loss and the gradient of the whole batch, where nothing is normalised over it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from ranked import blobs, difference, in_float64, together
from torch import Tensor

from mixop.bilevel.direct import SingleLevel
from mixop.bilevel.second_order import SecondOrder
from mixop.core.errors import RecipeError
from mixop.core.ranks import Ranks
from mixop.core.rng import fenced, rand
from mixop.core.share import shares
from mixop.data.toy import toy_set
from mixop.engine.accumulate import in_pieces, pieces_of
from mixop.engine.fit import check_fit
from mixop.engine.loop import Search
from mixop.engine.settings import Settings
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES, darts
from mixop.runs.directory import RunDirectory
from mixop.spaces import nasbench201
from mixop.spaces.toy import Toy


def test_pieces_have_two_examples_at_least_and_cover_the_batch():
    assert [(piece.start, piece.stop) for piece in pieces_of(7, 2)] == [(0, 4), (4, 7)]
    assert [piece.stop - piece.start for piece in pieces_of(7, 100)] == [3, 2, 2]
    assert len(pieces_of(3, 2)) == 1


def test_loss_and_gradient_are_those_of_the_whole_batch():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    w = torch.randn(3, generator=generator, dtype=torch.float64, requires_grad=True)
    unused, constant = torch.ones(2, dtype=torch.float64, requires_grad=True), torch.ones((), dtype=torch.float64)

    def loss_of(tensors: Any, piece: Any) -> Tensor:
        return ((x[piece.rows] @ tensors["w"]).tanh() * tensors["constant"]).mean()

    loss = in_pieces(loss_of, {"w": w, "unused": unused, "constant": constant}, pieces_of(7, 3))
    found, nothing = torch.autograd.grad(2 * loss, [w, unused], allow_unused=True)
    whole = (x @ w).tanh().mean()
    torch.testing.assert_close(loss.detach(), whole.detach())
    torch.testing.assert_close(found, torch.autograd.grad(2 * whole, w)[0])
    assert nothing is None
    with torch.no_grad():
        assert not in_pieces(loss_of, {"w": w, "constant": constant}, pieces_of(7, 3)).requires_grad


def test_what_is_drawn_for_an_example_is_the_same_in_every_division():
    def drawn(pieces: int) -> tuple[Tensor, list[float]]:
        rows, after = [], []

        def loss_of(tensors: Any, piece: Any) -> Tensor:
            with fenced(torch.Generator().manual_seed(3)):
                rows.append(rand((piece.stop - piece.start, 2), by_example=True))
                after.append(rand((1,)).item())  # not by example: the same in every piece
            return tensors["w"].sum()

        in_pieces(loss_of, {"w": torch.ones(1)}, shares(7, pieces))
        return torch.cat(rows), after

    whole, (one,) = drawn(1)
    for pieces in (2, 3):
        found, after = drawn(pieces)
        assert torch.equal(found, whole)
        assert after == [one] * pieces


def recipe_of(name: str) -> Recipe:
    method, _, variant = name.partition("+")
    recipe = replace(RECIPES[method](), epochs=2, batch_size=14)
    return replace(recipe, scheme=SingleLevel(same_batch=True)) if variant else recipe


def searched(name: str, folder: Path, accumulate: int) -> tuple[dict[str, Any], list[Any]]:
    folder.mkdir()
    records: list[Any] = []
    settings = Settings(accumulate=accumulate)
    job = Search(
        recipe_of(name), Toy(), toy_set(Toy(), n=70), RunDirectory(folder), settings, lambda r: records.append(dict(r))
    )
    job.run()
    return job.state.state_dict(), records


def compare(ranks: Ranks, folder: Path) -> dict[str, float]:
    in_float64()
    names = ("darts", "darts2", "darts+one_pass", "gdas", "sdarts_adv")
    return {name: difference(searched(name, folder / name, 1), searched(name, folder / f"{name}-pieces", 3)) for name in names}


def test_a_search_without_batch_norm_is_the_same_in_pieces(tmp_path):
    (differences,) = together(1, tmp_path, compare, tmp_path)
    assert 0 < max(differences.values()) < 1e-10, differences  # float64; sums in another order


def test_a_search_with_batch_norm_goes_in_pieces_whose_statistics_are_their_own(tmp_path):
    data = blobs(28, 28)
    space = nasbench201(channels=4, cells=1, stages=1).fit(data)
    jobs = []
    for accumulate in (1, 2):
        run = RunDirectory(tmp_path / str(accumulate))
        run.path.mkdir()
        recipe = replace(darts(), epochs=1, batch_size=14)
        check_fit(recipe, space, data, Settings(accumulate=accumulate))
        jobs.append(Search(recipe, space, data, run, Settings(accumulate=accumulate)))
        jobs[-1].run()
    whole, pieces = (job.state.train.value()["loss"] for job in jobs)
    assert whole is not None
    assert pieces != whole
    assert pieces == pytest.approx(whole, rel=0.3)  # the same training, with noisier statistics
    assert jobs[1].identity["settings.json"]["accumulate"] == 2
    assert "accumulate" not in jobs[0].identity["settings.json"]


def test_what_has_no_pieces_is_refused():
    data, pieces = toy_set(Toy(), n=56), Settings(accumulate=2)
    recipe = replace(darts(), batch_size=14)
    with pytest.raises(RecipeError, match="first derivatives only, but SecondOrder takes second ones"):
        check_fit(replace(recipe, scheme=SecondOrder(method="exact")), Toy(), data, pieces)
    with pytest.raises(RecipeError, match="Several processes divide a batch already"):
        check_fit(recipe, Toy(), data, pieces, Ranks(0, 2))
    with pytest.raises(RecipeError, match="accumulate must be a whole number of at least 1, got 0"):
        Settings(accumulate=0)
