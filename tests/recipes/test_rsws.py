from dataclasses import replace

from mixop.bilevel import Frozen
from mixop.data import digits
from mixop.derive import BestSampled
from mixop.engine.problem import SupernetProblem
from mixop.recipes import rsws
from mixop.relax import Uniform
from mixop.spaces import nasbench201
from mixop.testing import check_recipe


def test_random_search_trains_weights_alone_and_scores_100_samples_on_512_examples():
    recipe = rsws()
    assert (recipe.relaxation, recipe.scheme) == (Uniform(), Frozen())
    assert recipe.derivation == BestSampled(samples=100, batches=8, norm="batch", by="draw")
    assert recipe.derivation.batches * recipe.batch_size == 512
    assert (recipe.epochs, recipe.batch_size) == (250, 64)
    assert (recipe.weight_optimiser.weight_decay, recipe.weight_optimiser.nesterov) == (5e-4, True)


def test_the_way_of_nats_bench_draws_a_path_for_every_cell_and_one_architecture_in_the_end(monkeypatch):
    paths = []
    draw_loss = SupernetProblem.draw_loss
    monkeypatch.setattr(
        SupernetProblem,
        "draw_loss",
        lambda self, weights, draws, batch: paths.append(draws["cell"].active) or draw_loss(self, weights, draws, batch),
    )
    recipe = replace(rsws(), relaxation=Uniform(by_cell=True, alive=True), derivation=BestSampled(samples=3, batches=1))
    images = digits(valid=0.5, seed=0)
    images = images.with_indices(images.train[:48], images.valid[:48])
    space = nasbench201(channels=4, cells=2, stages=1)
    check_recipe(recipe, space=space, data=images)
    assert paths
    assert all(len(cells) == 2 for cells in paths)
    assert any(cells[0] != cells[1] for cells in paths)
    none = space.groups[0].decisions[0].options.index("none")
    assert not any(path[0] == (none,) for cells in paths for path in cells)  # the only edge of its node
