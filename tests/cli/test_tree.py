"""Every field of every value can be set by a flag and by a file, and is explained."""

import contextlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from mixop.cli import kinds
from mixop.cli.tree import Knob, Tree, arguments_of, flag_of
from mixop.core.errors import MixopError, RecipeError
from mixop.core.fields import UnknownFieldError
from mixop.core.optim import SGD, Adam
from mixop.core.schedules import Constant, Cosine
from mixop.core.values import defaults
from mixop.data import SOURCES
from mixop.evaluate.protocol import PROTOCOLS
from mixop.recipe.core import Recipe
from mixop.recipe.parts import PARTS
from mixop.recipes import RECIPES, drnas
from mixop.regularise import AnchorL2, DirichletKL
from mixop.relax.dirichlet import Dirichlet
from mixop.relax.softmax import Softmax
from mixop.spaces import SPACES, NasBench201

BEGIN = {"recipe": kinds.recipe, "space": kinds.space, "data": kinds.data, "protocol": kinds.protocol}
NAMES = [
    (word, name)
    for word, table in (("recipe", RECIPES), ("space", SPACES), ("data", SOURCES), ("protocol", PROTOCOLS))
    for name in table
]
every_value = pytest.mark.parametrize(("word", "name"), NAMES)

# Texts for fields whose values are bound to one another.
SPECIAL = {
    "mean": ["0.5,0.25,0.5"],
    "std": ["0.5,0.25,0.5"],
    "operations": [
        "skip_connect,nor_conv_3x3",
        "none,sep_conv_3x3",
        "tanh,relu",
        "conv_3x3,conv_5x5",
        "average_pooling,max_pooling",
    ],
    "normal_operations": [str([["none"]] * edges).replace("'", '"') for edges in (14, 20)],
    "reduce_operations": [str([["none"]] * edges).replace("'", '"') for edges in (14, 20)],
    "normal_output": ["2,6", "3,4"],
    "reduce_output": ["2,6", "3,4"],
    "input_shape": ["3,64,64", "1,32,32", "9,5"],
    "jitter": ["0.1,0.2,0.3,0.1"],
    "edge_operations": [
        str([[name]] * edges).replace("'", '"') for name in ("none", "skip_connect", "tanh") for edges in (6, 36, 66)
    ],
    "output": ["1,2"],
    "network": ['{"hidden": 3}'],
}

# What is refused whatever one writes: "best" with a single level, a final network without running statistics.
# What a single flag cannot change because another part forbids it.
# No split, or a derivation of its own.
KEEPS_LAST = {"gaea", "snas", "dsnas", "setn", "enas", "enas_macro", "enas_micro", "enas_rnn", "rsws", "darts_pt", "bayesnas"}
KEEPS_LAST |= {"pdarts", "drnas_progressive", "drnas_progressive_paper", "drnas_progressive_201"}  # several networks
REFUSED = {*((name, ("keep",)) for name in KEEPS_LAST), ("protocol", ("norm", "track"))}


def texts_for(knob: Knob) -> list[str]:
    """What a user might write for a knob, other than its default; not all of it need be in range."""
    takes = knob.takes.removeprefix("none|")
    if knob.path[-1] in SPECIAL:
        return SPECIAL[knob.path[-1]]
    if takes in ("INT", "INT|INT,INT"):
        return ["1", "2", "3", "16", "32", "0", "300"]
    if takes == "INT|NUMBER":  # a number or a share
        return ["0.125", "0.25", "40"]
    if takes.startswith("NUMBER"):
        return ["0.25,0.75"] if "," in takes else ["0.125", "0.25", "1.5", "2.5", "-0.25"]
    words = {"true|false": "true|false", "TEXT": "some text"}.get(takes, takes.removesuffix(",...")).split("|")
    return [word for word in words if word != knob.default] or words


def look_up(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value[int(name)] if name.isdecimal() else getattr(value, name)
    return value


def look_up_plain(plain: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        plain = plain[int(name) if isinstance(plain, list) else name]
    return plain


def complete(tree: Tree) -> Tree:
    for knob in tree.knobs():
        if knob.default is None:
            tree.put(knob.path, "somewhere")
    return tree


def is_part(takes: str) -> bool:
    return any(word in PARTS for word in takes.replace(",...", "").split("|"))


def changed(tree: Tree, knob: Knob, text: str) -> Any:
    """The field's value after its flag; None if that is out of range."""
    tree.put(knob.path, text)
    if knob.path[-1] in ("mean", "std"):  # they come together
        tree.put((*knob.path[:-1], "std"), text)
        tree.put((*knob.path[:-1], "mean"), text)
    if knob.path == ("augment", "resized_crop"):  # one crop in place of the other
        tree.put(("augment", "crop"), "0")
    if knob.path == ("augment", "crop") and any(k.path == ("augment", "resized_crop") for k in tree.knobs()):
        tree.put(("augment", "resized_crop"), "false")
    if knob.path[0] == "stages" and len(knob.path) == 3:  # what is carried from stage to stage keeps its size
        stages = {k.path[1] for k in tree.knobs() if k.path[0] == "stages" and len(k.path) == 3}
        for stage in stages:
            if knob.path[2] in ("cells", "channels"):
                tree.put(("stages", stage, knob.path[2]), text)
            elif knob.path[2] == "start":
                tree.put(("stages", stage, "cells"), "0")
    try:
        return look_up(tree.build(), knob.path)
    except MixopError:
        return None


@cache
def of_its_own(word: str, name: str) -> frozenset[tuple[str, ...]]:
    """The paths of the knobs that no earlier value of the table has: the same part in another recipe is the same code."""
    seen: set[tuple[str, str, str]] = set()
    for other in [n for w, n in NAMES if w == word]:
        knobs = list(complete(BEGIN[word](other)).knobs())
        mine = frozenset(k.path for k in knobs if (k.of, k.path[-1], k.takes) not in seen)
        if other == name:
            return mine
        seen |= {(k.of, k.path[-1], k.takes) for k in knobs}
    raise AssertionError(name)


@every_value
def test_every_field_is_set_by_a_flag(word: str, name: str):
    before = complete(BEGIN[word](name)).build()
    for knob in complete(BEGIN[word](name)).knobs():
        if knob.path not in of_its_own(word, name):
            continue
        if is_part(knob.takes) or (name, knob.path) in REFUSED or (word, knob.path) in REFUSED:
            continue
        values = (changed(complete(BEGIN[word](name)), knob, text) for text in texts_for(knob))
        new = (value for value in values if value is not None and value != look_up(before, knob.path))
        assert next(new, None) is not None, f"no way was found to change {knob}"


@every_value
def test_every_field_is_set_by_a_file(word: str, name: str):
    for knob in complete(BEGIN[word](name)).knobs():
        if knob.path not in of_its_own(word, name):
            continue
        if any(piece.isdecimal() for piece in knob.path):  # a file writes a list as a whole
            continue
        tree, other = complete(BEGIN[word](name)), complete(BEGIN[word](name))
        other.put(knob.path, texts_for(knob)[0])
        table = look_up_plain(other.plain, knob.path)
        for piece in reversed(knob.path):
            table = {piece: table}
        tree.merge(table)
        assert tree.plain == other.plain, knob


@every_value
def test_a_part_is_swapped_by_its_name(word: str, name: str):
    for knob in BEGIN[word](name).knobs():
        if not is_part(knob.takes) or knob.path not in of_its_own(word, name):
            continue
        for part in knob.takes.replace(",...", "").removeprefix("NUMBER|").split("|"):
            tree = complete(BEGIN[word](name))
            tree.put(knob.path, part)
            for field in [k for k in tree.knobs() if k.default is None]:
                tree.put(field.path, "0.5")
            shown = "None" if part == "none" else part
            with contextlib.suppress(RecipeError):  # parts that do not fit
                assert shown in str(look_up(tree.build(), knob.path)), knob
            assert shown in str(look_up_plain(tree.plain, knob.path)), knob


@every_value
def test_every_flag_is_explained_with_its_default(word: str, name: str):
    for knob in BEGIN[word](name).knobs():
        assert knob.help, f"{flag_of((word, *knob.path))} has no line under Args"
        assert "`" not in knob.help
        assert knob.takes != "JSON" or knob.path[0].endswith("_operations") or knob.path == ("network",)


@every_value
def test_untouched_it_is_what_the_name_stands_for(word: str, name: str):
    if word == "recipe":
        assert BEGIN[word](name).build() == RECIPES[name]()
    elif word == "protocol":
        assert BEGIN[word](name).build() == PROTOCOLS[name]
    else:
        assert type(complete(BEGIN[word](name)).build()) is (SPACES if word == "space" else SOURCES)[name]


def recipe_tree() -> Tree:
    return kinds.recipe("drnas")


def test_a_number_for_a_schedule_is_a_constant():
    tree = recipe_tree()
    tree.put(("weight_optimiser", "lr"), "0.05")
    tree.merge({"architecture_optimiser": {"lr": 0.002}})
    recipe = tree.build()
    assert recipe.weight_optimiser.lr == Constant(0.05)
    assert recipe.architecture_optimiser.lr == Constant(0.002)


def test_a_part_of_the_same_class_keeps_its_fields_and_another_begins_at_its_defaults():
    tree = recipe_tree()
    tree.put(("weight_optimiser", "momentum"), "0.5")
    tree.put(("weight_optimiser",), "SGD")
    assert tree.build().weight_optimiser.momentum == 0.5
    tree.put(("weight_optimiser",), "Adam")
    assert tree.build().weight_optimiser == Adam()
    tree.merge({"weight_optimiser": {"type": "SGD", "nesterov": True}})
    assert tree.build().weight_optimiser == SGD(nesterov=True)


def test_lists_of_parts():
    tree = recipe_tree()
    tree.put(("regularisers",), "AnchorL2,DirichletKL")
    tree.put(("regularisers", "1", "weight"), "0.25")
    assert tree.build().regularisers == (AnchorL2(), DirichletKL(weight=0.25))
    tree.put(("regularisers",), "none")
    assert tree.build().regularisers == ()
    tree.merge({"regularisers": [{"type": "AnchorL2", "weight": 0.5}, "DirichletKL"]})
    assert tree.build().regularisers == (AnchorL2(weight=0.5), DirichletKL())


def test_changes_that_fit_only_together_need_no_order():
    for first, second in ((0, 1), (1, 0)):
        tree = recipe_tree()
        changes = [(("relaxation",), "SimplexPoint"), (("architecture_optimiser",), "ExponentiatedGradient")]
        tree.put(("regularisers",), "none")
        tree.put(*changes[first])
        tree.put(*changes[second])
        assert type(tree.build().relaxation).__name__ == "SimplexPoint"


def test_a_part_may_be_given_as_json():
    tree = recipe_tree()
    tree.put(("weight_optimiser", "lr"), '{"type": "Cosine", "start": 0.5}')
    assert tree.build().weight_optimiser.lr == Cosine(0.5, 0.001)  # of the class it had: other fields stay


def test_none_and_numbers_of_optional_fields():
    tree = kinds.space("nasbench201")
    tree.put(("outputs",), "7")
    assert tree.build() == NasBench201(outputs=7)
    tree.put(("outputs",), "none")
    assert tree.build() == NasBench201()


def set_and_build(path: tuple[str, ...], text: str) -> None:
    tree = recipe_tree()
    tree.put(path, text)
    tree.build()


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        (("epochs",), "ten", "recipe.epochs must be a whole number, got 'ten'"),
        (("epochs",), "1.5", "recipe.epochs must be a whole number, got '1.5'"),
        (("clip",), "nan", "clip must be"),
        (("clip",), "1e999", "clip must be"),
        (("norm", "affine"), "perhaps", "recipe.norm.affine must be true or false"),
        (("order",), "weights", "'architecture_first' or 'weights_first'"),
        (("architecture_optimiser", "betas"), "0.5", "a list of 2"),
        (("relaxation",), "{torn", "torn"),
        (("derivation",), "SGD", "recipe.derivation must be Derivation, got 'SGD'"),
    ],
)
def test_what_does_not_fit_is_refused(path: tuple[str, ...], text: str, says: str):
    with pytest.raises(RecipeError) as told:
        set_and_build(path, text)
    assert says in str(told.value)


@pytest.mark.parametrize(
    "path", [("epoch",), ("epochs", "more"), ("regularisers", "1", "weight"), ("regularisers", "x"), ("relaxation", "heat")]
)
def test_there_is_no_such_knob(path: tuple[str, ...]):
    with pytest.raises(UnknownFieldError):
        recipe_tree().put(path, "1")


@dataclass(frozen=True, kw_only=True)
class Warm(Softmax):
    """A relaxation of one's own.

    Args:
        heat: of the
            oven, >= 0.
    """

    heat: float = 2.0


def test_a_part_of_ones_own_is_named_by_its_module(monkeypatch: pytest.MonkeyPatch):
    import sys

    monkeypatch.setitem(sys.modules, "outsider", sys.modules[__name__])
    monkeypatch.setattr(Warm, "__module__", "outsider")
    tree = kinds.recipe("darts")
    tree.put(("relaxation",), "outsider:Warm")
    tree.put(("relaxation", "heat"), "3")
    assert tree.build().relaxation == Warm(heat=3.0)
    assert next(k for k in tree.knobs() if k.path == ("relaxation", "heat")).help == "of the oven, >= 0."


def test_docstrings_of_base_classes_fill_gaps():
    found = arguments_of(Warm)
    assert found["heat"] == "of the oven, >= 0."
    assert found["temperature"].startswith("divides the logits")


def test_defaults_leave_out_what_has_none():
    assert defaults(Constant) == {"type": "Constant"}
    assert "name" not in defaults(Recipe)


def test_a_recipe_file_is_a_whole_recipe(tmp_path: Any):
    import json

    from mixop.recipe.parts import recipe_to_json

    path = tmp_path / "mine.json"
    path.write_text(json.dumps(recipe_to_json(drnas(epochs=7))))
    assert kinds.recipe(str(path)).build() == drnas(epochs=7)
    toml = tmp_path / "mine.toml"
    toml.write_text('name = "mine"\nrelaxation = "Dirichlet"\n[weight_optimiser]\ntype = "Adam"\neps = 1e-6\n')
    recipe = kinds.recipe(str(toml)).build()
    assert recipe == Recipe(name="mine", relaxation=Dirichlet(), weight_optimiser=Adam(eps=1e-6))


def test_an_entry_of_a_mapping_is_set_by_its_name():
    tree = kinds.protocol("darts-ptb")
    tree.put(("network", "hidden"), "64")
    tree.put(("network", "state_dropout"), "0.5")
    network = tree.build().network
    assert (network["hidden"], network["state_dropout"], network["word_dropout"]) == (64, 0.5, 0.1)
    tree.put(("network", "hidden"), "many")
    with pytest.raises(RecipeError, match=r"protocol\.network\.hidden must be a whole number or a number, got 'many'"):
        tree.build()
