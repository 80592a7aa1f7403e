from dataclasses import replace

import pytest

from mixop.core.errors import RecipeError
from mixop.core.optim import SGD, Adam, ExponentiatedGradient
from mixop.core.schedules import Constant, Cosine, Progress
from mixop.recipe.stage import stage_progress
from mixop.recipes import gaea, gaea_bilevel, gaea_gdas
from mixop.regularise import Entropy


@pytest.mark.parametrize("make", [gaea, gaea_bilevel])
def test_gaea_darts_has_25_epochs_of_a_cosine_laid_out_over_50(make):
    recipe = make()
    assert (recipe.epochs, recipe.batch_size, recipe.clip, recipe.norm.track) == (25, 64, 5.0, True)
    assert recipe.architecture_optimiser == ExponentiatedGradient(lr=Constant(0.1), minimum=1e-5)
    assert recipe.weight_optimiser.lr(Progress(25, 25)) == pytest.approx((0.025 + 0.001) / 2)
    assert recipe.weight_optimiser.weight_decay == 3e-4


def test_only_the_bilevel_version_compares_epochs():
    assert (gaea().scheme.shares_data, gaea().keep) == (True, "last")
    assert (gaea_bilevel().scheme.shares_data, gaea_bilevel().keep) == (False, "best")


@pytest.mark.parametrize("epochs", [250, 60])
def test_the_temperature_of_gaea_gdas_is_the_authors_in_every_epoch(epochs):
    """``tau = max_tau - (max_tau - min_tau) * max(epoch - warmup_epochs, 0) / (epochs - 1)``."""
    recipe = gaea_gdas(epochs=epochs)
    assert recipe.warmup == epochs // 5
    for e in range(epochs):
        tau = 10 - 9.9 * max(e - recipe.warmup, 0) / (epochs - 1)
        assert recipe.relaxation.temperature(stage_progress((), epochs, e, recipe.warmup)) == pytest.approx(tau)


def test_gaea_gdas_has_the_settings_of_the_authors_nas_bench_201_files():
    recipe = gaea_gdas()
    assert (recipe.epochs, recipe.warmup, recipe.batch_size, recipe.clip) == (250, 50, 64, 5.0)
    assert recipe.order == "architecture_first"
    assert recipe.weight_optimiser == SGD(lr=Cosine(0.025, 0.001), momentum=0.9, weight_decay=3e-4, nesterov=False)
    assert (recipe.norm.affine, recipe.norm.track) == (False, True)
    assert (recipe.keep, recipe.validates) == ("best", "derived")
    assert recipe.architecture_clip == 0


def test_gaea_gdas_is_bilevel_with_a_smaller_rate_and_an_entropy_term():
    recipe = gaea_gdas()
    assert not recipe.scheme.shares_data
    assert recipe.architecture_optimiser == ExponentiatedGradient(lr=Constant(0.01), clamp="after")
    assert recipe.regularisers == (Entropy(weight=Constant(0.01), towards="uniform"),)


def test_the_warmup_keeps_its_share_in_short_searches():
    assert [gaea_gdas(epochs=epochs).warmup for epochs in (1, 5, 20)] == [0, 1, 4]


def test_adam_on_the_simplex_is_refused():
    with pytest.raises(RecipeError, match=r"GumbelSimplex keeps its parameters on the simplex, but Adam"):
        replace(gaea_gdas(), architecture_optimiser=Adam())
