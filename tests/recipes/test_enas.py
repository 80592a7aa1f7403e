from dataclasses import replace

import pytest

from mixop.bilevel import ScoreFunction
from mixop.core.errors import RecipeError
from mixop.core.optim import SGD, Adam
from mixop.core.schedules import Constant, Cosine, CosineRestarts, Progress
from mixop.data.images.digits import digits
from mixop.data.text import from_text
from mixop.derive import BestSampled
from mixop.nets.ops import BatchNorm
from mixop.recipes import enas, enas_macro, enas_micro, enas_rnn, rsws
from mixop.regularise import Entropy
from mixop.relax import LstmPolicy, Softmax
from mixop.spaces import EnasRnn
from mixop.spaces import enas_macro as macro_space
from mixop.spaces import enas_micro as micro_space
from mixop.testing import check_recipe


def test_enas_has_the_settings_of_the_benchmark():
    recipe = enas()
    assert recipe.relaxation == LstmPolicy(hidden=32, layers=2, tanh=2.5, temperature=5.0)
    assert recipe.scheme == ScoreFunction(samples=20, reward="measure", baseline_decay=0.99, entropy_weight=1e-4)
    assert recipe.weight_optimiser == SGD(lr=Cosine(0.05, 0.0005), momentum=0.9, weight_decay=2.5e-4, nesterov=True)
    assert recipe.architecture_optimiser == Adam(lr=Constant(1e-3), betas=(0.0, 0.999), weight_decay=0.0, eps=1e-3)
    assert (recipe.epochs, recipe.batch_size, recipe.clip, recipe.architecture_clip) == (250, 128, 5.0, 5.0)
    assert recipe.derivation == BestSampled(samples=100, batches=4, norm="batch", by="draw")


def test_the_policy_takes_about_50_steps_an_epoch():
    batches = -(-25_000 // enas().batch_size)
    assert batches // enas().architecture_every == 49
    assert enas().order == "weights_first"  # the benchmark's code trains the policy behind the weights


def test_a_policy_is_needed_and_its_entropy_belongs_to_the_scheme():
    with pytest.raises(RecipeError, match=r"ScoreFunction.*Softmax have none"):
        replace(enas(), relaxation=Softmax())
    with pytest.raises(RecipeError, match="entropy_weight of ScoreFunction"):
        replace(enas(), regularisers=(Entropy(),))


def test_the_recipes_of_its_own_spaces_have_the_settings_of_the_authors_scripts():
    macro, micro = enas_macro(), enas_micro()
    assert macro.relaxation == LstmPolicy(hidden=64, layers=1, tanh=1.5, temperature=1.0, skip_target=0.4, skip_weight=0.8)
    assert (micro.relaxation.tanh, micro.relaxation.reduce, micro.relaxation.bias[:3]) == (1.1, 2.5, (10, 10, 0))
    assert micro.relaxation.first_bias == (0.25, 0.25, -0.25, -0.25, -0.25)
    assert (macro.epochs, macro.batch_size, micro.epochs, micro.batch_size) == (310, 128, 150, 160)
    for recipe, samples, rate, decay in ((macro, 20, 1e-3, 5e-4), (micro, 10, 3.5e-3, 2e-4)):
        assert recipe.scheme == ScoreFunction(samples=samples, reward="measure", baseline_decay=0.99, entropy_weight=1e-4)
        assert recipe.architecture_optimiser == Adam(lr=Constant(rate), betas=(0.0, 0.999), weight_decay=0.0, eps=1e-3)
        lr = CosineRestarts(0.05, 0.0005, first=10, factor=2)
        assert recipe.weight_optimiser == SGD(lr=lr, momentum=0.9, weight_decay=decay, nesterov=True)
        assert recipe.norm.affine
        assert not recipe.norm.track
    # Steps of the controller in an epoch of 45,000 images: 50 and 30 as published, or one more.
    steps = [recipe.architecture_steps(-(-45_000 // recipe.batch_size)) for recipe in (macro, micro)]
    assert steps == [50, 31]


@pytest.mark.parametrize(
    ("recipe", "space"),
    [
        (enas(), macro_space(depth=3, channels=4)),
        (rsws(), macro_space(depth=3, channels=4)),
        pytest.param(enas_micro(), micro_space(cells=1, channels=4), marks=pytest.mark.slow),
        pytest.param(rsws(), micro_space(cells=1, channels=4), marks=pytest.mark.slow),
    ],
    ids=lambda value: value.name,
)
def test_searches_of_its_own_spaces_keep_the_contract_of_recipes(recipe, space):
    """They end in an architecture of the space, and resume bit for bit."""
    data = digits(valid=0.5, seed=0)
    few = data.with_indices(data.train[:48], data.valid[:32])
    small = replace(recipe, derivation=replace(recipe.derivation, samples=3, batches=1))
    small = replace(small, scheme=replace(small.scheme, samples=2)) if isinstance(small.scheme, ScoreFunction) else small
    check_recipe(small, space=space, data=few)


def test_the_recurrent_recipe_has_the_settings_of_the_authors_script():
    recipe = enas_rnn()
    assert recipe.relaxation == LstmPolicy(hidden=100, layers=1, tanh=2.5, temperature=5.0, distance=1 / 6)
    assert recipe.scheme == ScoreFunction(samples=10, reward="likelihood", scale=80.0, baseline_decay=0.99, entropy_weight=1e-3)
    assert recipe.architecture_optimiser == Adam(lr=Constant(1e-3), betas=(0.0, 0.999), weight_decay=0.0, eps=1e-3)
    assert (recipe.epochs, recipe.batch_size) == (100, 20)
    assert recipe.norm == BatchNorm(affine=True, track=True, momentum=0.001, eps=1.0)
    # Their loss is a sum over 35 tokens: the rate of 0.25 falls from epoch 12 on, gradients are clipped at 10.
    rates = [recipe.weight_optimiser.lr(Progress(epoch, 100)) / 35 for epoch in (0, 11, 12, 13, 99)]
    assert rates == pytest.approx([0.25, 0.25, 0.25, 0.25 * 0.95, 0.25 * 0.95**87])
    assert recipe.clip * 35 == pytest.approx(10)
    # 929,589 tokens: 1,327 windows an epoch, and 100 steps of the policy, or two more.
    assert recipe.architecture_steps(929_589 // 20 // 35) == 102


@pytest.mark.parametrize("recipe", [enas_rnn(), enas(), rsws()], ids=lambda recipe: recipe.name)
def test_searches_of_the_recurrent_space_keep_the_contract_of_recipes(recipe):
    said = "the cat sat on the mat\nthe mat was red\n"
    data = from_text(train=said * 12, valid=said * 8, test=said, window=5)
    small = replace(recipe, batch_size=4, derivation=replace(recipe.derivation, samples=3, batches=1))
    small = replace(small, scheme=replace(small.scheme, samples=2)) if isinstance(small.scheme, ScoreFunction) else small
    check_recipe(small, space=EnasRnn(hidden=6, nodes=3), data=data)
