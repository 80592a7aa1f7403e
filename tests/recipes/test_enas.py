from dataclasses import replace

import pytest

from mixop.bilevel import ScoreFunction
from mixop.core.errors import RecipeError
from mixop.core.optim import SGD, Adam
from mixop.core.schedules import Constant, Cosine
from mixop.derive import BestSampled
from mixop.recipes import enas
from mixop.regularise import Entropy
from mixop.relax import LstmPolicy, Softmax


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
