"""`mixop.spaces.toy`: the optimum is the optimum, and a search can see the way to it."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mixop.core.errors import SpaceError
from mixop.spaces.core import Choice
from mixop.spaces.stacked import Graph, Layer
from mixop.spaces.toy import TOY_MAPS, Toy, toy, toy_data, toy_features

SPACE = toy()


def test_the_skeleton_cuts_maps_and_classifies():
    space = toy(blocks=2, width=3, outputs=5)
    assert space.input_shape == (6, 1, 1)
    assert space.layers == (
        Layer("slice", (0,), (6,), 3, offset=0),
        Layer("slice", (0,), (6,), 3, offset=3),
        Layer("cell", (1, 2), (3, 3), 6, group="cell"),
        Layer("linear_head", (3,), (6,), 5),
    )
    assert space.graph("cell") == Graph(inputs=2, nodes=4, output=(2, 3))
    assert [(d.source, d.target) for d in space.group("cell").decisions] == [(0, 2), (1, 3)]
    assert space.group("cell").shape == (2, 4)


def test_native_strings_round_trip():
    everything = list(SPACE.architectures())
    assert len(everything) == SPACE.size() == 64
    for architecture in everything:
        assert SPACE.from_native(f" {SPACE.to_native(architecture)} ") == architecture


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "3 maps joined by"),
        ("abs|sine", r"3 maps joined by \|, got 'abs\|sine'"),
        ("abs|sine|none|none", "3 maps"),
        ("abs|sin|none", "did you mean 'sine'"),
        ("abs | sine|none", "There is no map in toy 'abs '"),
        (None, "got None"),
    ],
)
def test_malformed_strings_are_refused(text: Any, message: str):
    with pytest.raises(SpaceError, match=message):
        SPACE.from_native(text)


def test_a_dropped_block_is_refused():
    dropped = replace(SPACE.optimum, choices=(("cell", (Choice(0, "abs"), Choice(2, "abs"))),))
    with pytest.raises(SpaceError, match=r"edge 1 \(4<-1\) is missing"):
        SPACE.check(dropped)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": 0}, "blocks must be a whole number"),
        ({"width": -1}, "width must be a whole number"),
        ({"outputs": 1}, "outputs must be at least 2, got 1"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"seed": 0.5}, "seed must be a whole number"),
    ],
)
def test_numbers_out_of_range_are_refused(changes: dict[str, Any], message: str):
    with pytest.raises(SpaceError, match=message):
        replace(SPACE, **changes)


@pytest.mark.parametrize("seed", range(5))
def test_the_optimum_is_seeded_and_has_no_none(seed: int):
    space = toy(blocks=5, seed=seed)
    options = list(space.optimum.options())
    assert space.optimum == toy(blocks=5, seed=seed).optimum
    assert set(options) == set(TOY_MAPS) - {"none"}
    assert {toy(seed=other).to_native(toy(seed=other).optimum) for other in range(20)} >= {
        "abs|sine|skip_connect",
        "sine|skip_connect|abs",
    }


def test_data_are_seeded_balanced_and_typed():
    x, y = toy_data(SPACE, n=2000, seed=0)
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((2000, 12, 1, 1), np.float32, (2000,), np.int64)
    again_x, again_y = toy_data(SPACE, n=2000, seed=0)
    assert np.array_equal(x, again_x)
    assert np.array_equal(y, again_y)
    assert not np.array_equal(x, toy_data(SPACE, n=2000, seed=1)[0])
    # 500 images expected a class, standard deviation 19; the features are not quite normal, hence not quite symmetric.
    assert np.bincount(y, minlength=4).min() > 400
    with pytest.raises(SpaceError, match="n must be a whole number"):
        toy_data(SPACE, n=0, seed=0)


def test_features_are_the_maps_of_the_blocks():
    x = np.linspace(-1, 1, 12).reshape(1, 12, 1, 1)
    features = toy_features(SPACE, SPACE.from_native("abs|sine|none"), x)
    flat = x.reshape(1, 12)
    expected = np.concatenate([np.abs(flat[:, :4]), np.sin(3 * flat[:, 4:8]), np.zeros((1, 4))], axis=1)
    np.testing.assert_array_equal(features, expected)


def accuracy(space: Toy, architecture: Any, train: tuple, test: tuple) -> float:
    model = LogisticRegression(C=10, max_iter=300).fit(toy_features(space, architecture, train[0]), train[1])
    return model.score(toy_features(space, architecture, test[0]), test[1])


@pytest.mark.parametrize("seed", [0, 1])
def test_the_optimum_is_the_best_of_all_architectures_by_far(seed: int):
    space = toy(seed=seed)
    train, test = toy_data(space, n=500, seed=1), toy_data(space, n=2000, seed=2)
    scores = {architecture: accuracy(space, architecture, train, test) for architecture in space.architectures()}
    best, second = sorted(scores, key=lambda a: scores[a], reverse=True)[:2]
    assert best == space.optimum
    assert scores[best] > 0.92
    assert scores[best] - scores[second] > 0.2
    # Every block that is put right helps: the way there is downhill for any search.
    for wrong, right in pairwise([("none",) * 3, *(_first(space, k) for k in (1, 2, 3))]):
        assert scores[space.from_native("|".join(right))] > scores[space.from_native("|".join(wrong))] + 0.1


def _first(space: Toy, k: int) -> tuple[str, ...]:
    options = tuple(space.optimum.options())
    return options[:k] + ("none",) * (len(options) - k)


def test_another_teacher_moves_the_optimum():
    teacher = SPACE.from_native("sine|sine|abs")
    train, test = (toy_data(SPACE, n=n, seed=n, teacher=teacher) for n in (500, 1000))
    assert accuracy(SPACE, teacher, train, test) > accuracy(SPACE, SPACE.optimum, train, test) + 0.2


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_at_the_uniform_mixture_points_to_the_optimum(seed: int):
    """The first architecture step of DARTS: weights trained at the uniform mixture, gradient on unseen images."""
    space = toy(seed=seed)
    (x, y), (x_valid, y_valid) = toy_data(space, n=1000, seed=1), toy_data(space, n=1000, seed=2)

    def maps(images: np.ndarray) -> np.ndarray:  # (N, E, width, O)
        blocks = images.reshape(len(images), space.blocks, space.width).astype(np.float64)
        return np.stack([function(blocks) for function in TOY_MAPS.values()], axis=-1)

    model = LogisticRegression(C=10, max_iter=300).fit(maps(x).mean(-1).reshape(len(x), -1), y)
    probabilities = model.predict_proba(maps(x_valid).mean(-1).reshape(len(x_valid), -1))
    error = probabilities - np.eye(space.outputs)[y_valid]  # d cross-entropy / d logits
    weights = model.coef_.reshape(space.outputs, space.blocks, space.width)
    gradient = np.einsum("nc,cew,newo->eo", error, weights, maps(x_valid)) / len(x_valid)
    assert space.architecture([gradient.argmin(axis=1).tolist()]) == space.optimum
