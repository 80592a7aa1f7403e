"""From settings to values: exactly what one would build by hand; what does not exist or does not fit is a sentence."""

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from mixop import recipes, spaces
from mixop.comparison.conditions import SHORT
from mixop.comparison.ranges import OneOf, Range, Tuned
from mixop.comparison.tunable import Tunable, _Uniform
from mixop.core.errors import RecipeError
from mixop.core.optim import SGD, Adam
from mixop.core.schedules import Constant, Cosine
from mixop.evaluate.protocol import PROTOCOLS
from mixop.recipe.core import Recipe
from mixop.relax.gumbel import GumbelSoftmax
from mixop.relax.softmax import Softmax
from mixop.spaces.nasbench201 import NasBench201

BASE = replace(recipes.darts(epochs=6), batch_size=32)


def tunable(ranges: Mapping[str, Tuned], recipe: Recipe = BASE) -> Tunable:
    return Tunable(recipe, NasBench201(channels=4, cells=1), SHORT, ranges)


def drawn(ranges: Mapping[str, Tuned], seed: int = 0) -> dict[str, Any]:
    return tunable(ranges).draw(_Uniform(Random(seed)))


def test_fields_are_set_as_by_hand():
    ranges = {
        "recipe.architecture-optimiser.lr": Range(1e-4, 1e-1, log=True),  # as a flag writes it
        "recipe.weight_optimiser.lr.start": Range(0.01, 0.1),
        "recipe.epochs": Range(2, 9),
        "protocol.label_smoothing": Range(0, 0.2),
        "space.channels": OneOf((4, 8)),
    }
    settings = drawn(ranges)
    assert list(settings) == [name.replace("-", "_") for name in sorted(ranges, key=lambda name: name.count("."))]
    rate, start = settings["recipe.architecture_optimiser.lr"], settings["recipe.weight_optimiser.lr.start"]
    assert isinstance(settings["recipe.epochs"], int)
    assert 1e-4 <= rate <= 1e-1
    built = tunable(ranges).build(settings)
    assert isinstance(BASE.weight_optimiser, SGD)
    assert isinstance(BASE.weight_optimiser.lr, Cosine)
    assert built.recipe == replace(
        BASE,
        epochs=settings["recipe.epochs"],
        architecture_optimiser=replace(BASE.architecture_optimiser, lr=Constant(rate)),
        weight_optimiser=replace(BASE.weight_optimiser, lr=replace(BASE.weight_optimiser.lr, start=start)),
    )
    assert built.protocol == replace(SHORT, label_smoothing=settings["protocol.label_smoothing"])
    assert built.space == NasBench201(channels=settings["space.channels"], cells=1)


def test_a_part_is_chosen_before_its_fields_and_what_it_does_not_have_is_left_out():
    ranges = {
        "recipe.relaxation.temperature": Range(1.0, 5.0),
        "recipe.relaxation": OneOf(("Softmax", GumbelSoftmax())),
        "recipe.architecture_optimiser.momentum": Range(0.0, 0.9),
        "recipe.architecture_optimiser": OneOf(("Adam", SGD(lr=0.1))),  # type: ignore[arg-type]
    }
    seen = set()
    for seed in range(20):
        settings = drawn(ranges, seed)
        recipe = tunable(ranges).build(settings).recipe
        assert isinstance(recipe.relaxation, Softmax | GumbelSoftmax)
        assert recipe.relaxation.temperature in (
            settings["recipe.relaxation.temperature"],
            Constant(settings["recipe.relaxation.temperature"]),
        )
        with_momentum = isinstance(recipe.architecture_optimiser, SGD)
        assert ("recipe.architecture_optimiser.momentum" in settings) is with_momentum
        if isinstance(recipe.architecture_optimiser, SGD):
            assert recipe.architecture_optimiser == SGD(
                lr=Constant(0.1), momentum=settings["recipe.architecture_optimiser.momentum"]
            )
        else:
            assert recipe.architecture_optimiser == Adam()
        seen.add((type(recipe.relaxation), with_momentum))
    assert len(seen) == 4


def test_names_of_recipes_have_the_length_and_the_batch_of_the_one_that_is_given():
    own = replace(BASE, name="mine", clip=1.0)
    ranges = {
        "recipe": OneOf(("darts", "gaea", own)),
        "protocol": OneOf(("quick", "finetune")),
        "space": OneOf(("toy", "darts")),
    }
    made = tunable(ranges)
    for name, wanted in (
        ("darts", BASE),
        ("gaea", replace(recipes.gaea(epochs=6), batch_size=32)),
        ("mine", own),
    ):
        built = made.build({"recipe": name, "protocol": "finetune", "space": "toy"})
        assert (built.recipe, built.protocol, built.space) == (wanted, PROTOCOLS["finetune"], spaces.toy())


def test_arguments_of_a_models_space_are_fields_of_the_space():
    made = Tunable(BASE, spaces.resnet(), None, {"space.channels": Range(4, 8)})
    settings = made.draw(_Uniform(Random(0)))
    assert settings["space.channels"] in range(4, 9)
    assert made.build(settings).space == spaces.resnet(channels=settings["space.channels"])
    with pytest.raises(RecipeError, match=r"no field space\.width to tune"):
        Tunable(BASE, spaces.resnet(), None, {"space.width": Range(4, 8)})


def test_a_value_that_is_not_tuned_is_the_very_one():
    space = NasBench201(channels=4, cells=1)
    made = Tunable(BASE, space, None, {"recipe.epochs": Range(2, 3)})
    assert made.build({"recipe.epochs": 2}).space is space


@pytest.mark.parametrize(
    ("ranges", "sentence"),
    [
        ({}, "Nothing is tuned"),
        ({"recipe.lr": Range(0.1, 1.0)}, r"no field recipe.lr to tune: did you mean recipe.weight_optimiser.lr or recipe."),
        ({"recipe.epoch": Range(1, 3)}, r"did you mean recipe.epochs\?"),
        ({"recipe.epochs.start": Range(1, 3)}, "no field recipe.epochs.start"),
        ({"data.path": OneOf(("a",))}, "begins with recipe, space or protocol, got 'data.path'"),
        ({"recipe": Range(1, 2)}, "recipe is a whole value and no number"),
        ({"recipe": OneOf(("dartz",))}, "no recipe 'dartz': did you mean 'darts'"),
        ({"recipe": OneOf((3,))}, "names or values of that kind, got 3"),
        ({"recipe": OneOf((BASE, replace(BASE, clip=1.0)))}, "different names, got 'darts' twice"),
        ({"recipe.epochs": Range(1.5, 3)}, "recipe.epochs takes whole numbers, got a range from 1.5 to 3"),
        ({"recipe.order": Range(1, 3)}, "recipe.order takes no numbers"),
        ({"recipe.relaxation": OneOf(("Softmacks",))}, "did you mean 'Softmax'"),
    ],
)
def test_what_cannot_be_tuned_is_refused_in_a_sentence(ranges: dict[str, Tuned], sentence: str):
    with pytest.raises(RecipeError, match=sentence) as caught:
        tunable(ranges)
    assert "\n" not in str(caught.value)


def test_a_protocol_that_nothing_uses_is_not_tuned():
    with pytest.raises(RecipeError, match="no training from scratch scores what is found"):
        Tunable(BASE, spaces.toy(), None, {"protocol.epochs": Range(1, 3)})


def test_ranges_of_which_no_draw_is_possible_are_refused_and_others_are_not():
    with pytest.raises(RecipeError, match="epochs must be a whole number of at least 1"):
        tunable({"recipe.epochs": Range(-5, 0)}).check(lambda built: None)
    tunable({"recipe.epochs": Range(-5, 5)}).check(lambda built: None)


@pytest.mark.parametrize(
    ("ranges", "longest"),
    [({"recipe.clip": Range(1, 5)}, 6), ({"recipe.epochs": Range(2, 9)}, 9), ({"recipe.epochs": OneOf((3, 1))}, 3)],
)
def test_the_longest_search(ranges: dict[str, Tuned], longest: int):
    assert tunable(ranges).longest == longest
