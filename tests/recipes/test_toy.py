"""How often recipes find the toy's known optimum: 1,024 examples, batches of 32, rates by `mixop.plan.scaling`, all
else as published."""

from dataclasses import replace
from math import ceil

import pytest

from mixop import api
from mixop.data.toy import toy_set
from mixop.plan.scaling import scaled
from mixop.recipes import RECIPES
from mixop.spaces.toy import Toy

SPACE = Toy()

# Of 5 seeds, in 20 epochs; every other recipe finds it from all 5. RS-WS and ENAS compare paths by weights that all of them
# share, with one classifier, and draw 100 times from 64 architectures: they miss the optimum or rank it second. SETN has the
# first trouble alone. PARSEC's gradient is noisy, and GAEA on two levels keeps the epoch of the best supernet.
RATES = {"gaea_bilevel": 4, "setn": 4, "parsec": 4, "enas": 3, "rsws": 2}


STAGED = {"pdarts", "drnas_progressive", "drnas_progressive_paper", "drnas_progressive_201"}  # the toy cannot be pruned
OWN_SPACES = {"enas_macro", "enas_micro", "enas_rnn"}  # `enas` with the rates of spaces of their own, where their tests are
FITTING = [
    name for name in RECIPES if name not in STAGED | OWN_SPACES and RECIPES[name]().windows is None
]  # the toy is no text


@pytest.fixture(scope="module")
def data():
    return toy_set(SPACE, n=1024)


def right_decisions(name, data, folder, *, epochs, seed):
    recipe = replace(RECIPES[name](epochs=epochs), batch_size=32)
    examples = len(data.train) + (len(data.valid) if recipe.scheme.shares_data else 0)
    recipe = scaled(recipe, ceil(examples / recipe.batch_size))
    result = api.search(recipe, SPACE, data, folder, seed=seed)
    return sum(a == b for a, b in zip(result.architecture.options(), SPACE.optimum.options(), strict=True))


# One of each mechanism; the others, and those whose step or derivation takes several times that, have short searches in
# other tests.
QUICK = {
    "darts",
    "pcdarts",
    "gdas",
    "snas",
    "proxylessnas",
    "drnas",
    "bayesnas",
    "rsws",
}


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FITTING])
def test_ten_epochs_find_the_optimum_or_nearly(name, data, tmp_path):
    assert right_decisions(name, data, tmp_path / "run", epochs=10, seed=0) >= (2 if name in RATES else 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", FITTING)
def test_most_seeds_find_the_optimum(name, data, tmp_path):
    right = [right_decisions(name, data, tmp_path / str(seed), epochs=20, seed=seed) for seed in range(5)]
    assert right.count(3) >= RATES.get(name, 5) - 1, right  # another machine may round another way
