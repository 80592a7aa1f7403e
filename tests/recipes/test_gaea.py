from dataclasses import replace

import pytest

from mixop.core.errors import RecipeError
from mixop.core.optim import Adam, ExponentiatedGradient
from mixop.core.schedules import Constant, Progress
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


@pytest.mark.parametrize("epoch", [50, 100, 249])
def test_the_temperature_of_gaea_gdas_begins_to_fall_after_the_warmup(epoch):
    recipe = gaea_gdas()
    assert (recipe.epochs, recipe.warmup) == (250, 50)
    assert recipe.relaxation.temperature(Progress(epoch, 250)) == pytest.approx(10 - 9.9 * (epoch - 50) / 249)


def test_gaea_gdas_is_bilevel_with_a_smaller_rate_and_an_entropy_term():
    recipe = gaea_gdas()
    assert not recipe.scheme.shares_data
    assert recipe.architecture_optimiser == ExponentiatedGradient(lr=Constant(0.01))
    assert recipe.regularisers == (Entropy(weight=Constant(0.01), towards="uniform"),)


def test_the_warmup_keeps_its_share_in_short_searches():
    assert [gaea_gdas(epochs=epochs).warmup for epochs in (1, 5, 20)] == [0, 1, 4]


def test_adam_on_the_simplex_is_refused():
    with pytest.raises(RecipeError, match=r"GumbelSimplex keeps its parameters on the simplex, but Adam"):
        replace(gaea_gdas(), architecture_optimiser=Adam())
