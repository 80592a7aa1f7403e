from dataclasses import replace

import pytest

from mixop.bilevel import FirstOrder, SingleLevel
from mixop.core.errors import RecipeError
from mixop.derive import BestSampled
from mixop.recipes import setn
from mixop.relax import Softmax, Uniform


def test_setn_trains_weights_on_uniform_paths_and_logits_on_the_mixture():
    recipe = setn()
    assert (recipe.relaxation, recipe.weight_relaxation, recipe.scheme) == (Softmax(), Uniform(), FirstOrder())
    assert (recipe.epochs, recipe.batch_size, recipe.clip, recipe.order) == (250, 64, 0.0, "weights_first")


def test_the_100_likeliest_are_scored_on_512_examples_with_batch_statistics():
    assert setn().derivation == BestSampled(samples=100, batches=8, norm="batch", by="probability")
    assert setn().derivation.batches * setn().batch_size == 512


def test_scores_need_examples_that_training_has_not_seen():
    with pytest.raises(RecipeError, match=r"BestSampled compares architectures on examples held out.*SingleLevel"):
        replace(setn(), scheme=SingleLevel())
