from mixop.bilevel import Frozen
from mixop.derive import BestSampled
from mixop.recipes import rsws
from mixop.relax import Uniform


def test_random_search_trains_weights_alone_and_scores_100_samples_on_512_examples():
    recipe = rsws()
    assert (recipe.relaxation, recipe.scheme) == (Uniform(), Frozen())
    assert recipe.derivation == BestSampled(samples=100, batches=8, norm="batch", by="draw")
    assert recipe.derivation.batches * recipe.batch_size == 512
    assert (recipe.epochs, recipe.batch_size) == (250, 64)
    assert (recipe.weight_optimiser.weight_decay, recipe.weight_optimiser.nesterov) == (5e-4, True)
