"""The grid around a point against a quadratic form, and the directions against orthogonality."""

import math

import pytest
import torch

from mixop.analysis.landscape import directions, landscape
from mixop.core.errors import RecipeError
from mixop.relax.softmax import Softmax
from mixop.spaces import toy


def parameters(seed: int = 0, dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"normal": (3, 4), "reduce": (2, 2)}
    return {name: torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for name, shape in shapes.items()}


def flat(params: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([value.reshape(-1) for value in params.values()])


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("normalise", ["whole", "group"])
def test_a_quadratic_form_in_closed_form(normalise):
    params = parameters()
    matrix = torch.randn(16, 16, generator=seeded(5), dtype=torch.float64)
    slope = torch.randn(16, generator=seeded(6), dtype=torch.float64)

    def loss(at):
        vector = flat(at)
        return vector @ matrix @ vector / 2 + slope @ vector

    got = landscape(loss, params, seeded(), radius=0.5, points=7, normalise=normalise)
    middle, basis = flat(params), torch.stack([flat(got.first), flat(got.second)])
    symmetric = (matrix + matrix.T) / 2
    gradient, curvature = basis @ (symmetric @ middle + slope), basis @ symmetric @ basis.T
    axis = torch.linspace(-0.5, 0.5, 7, dtype=torch.float64)
    torch.testing.assert_close(got.axis, axis)
    x, y = axis[:, None], axis[None, :]
    want = loss(params) + gradient[0] * x + gradient[1] * y
    want = want + curvature[0, 0] * x * x / 2 + curvature[0, 1] * x * y + curvature[1, 1] * y * y / 2
    torch.testing.assert_close(got.losses, want)


def test_the_middle_is_the_point_itself():
    params = parameters(dtype=torch.float32)
    got = landscape(lambda at: float(torch.equal(at["normal"], params["normal"])), params, seeded(), points=5)
    want = torch.zeros(5, 5, dtype=torch.float64)
    want[2, 2] = 1
    assert torch.equal(got.losses, want)
    assert got.axis.tolist() == [-1, -0.5, 0, 0.5, 1]


def test_the_whole_is_orthonormal():
    one, two = directions(parameters(), seeded())
    basis = torch.stack([flat(one), flat(two)])
    torch.testing.assert_close(basis @ basis.T, torch.eye(2, dtype=torch.float64))


def test_every_group_is_orthonormal():
    one, two = directions(parameters(), seeded(), normalise="group")
    for name in one:
        basis = torch.stack([one[name].reshape(-1), two[name].reshape(-1)])
        torch.testing.assert_close(basis @ basis.T, torch.eye(2, dtype=torch.float64))


def test_no_direction_is_preferred():
    """A coordinate of a unit vector in n dimensions has mean 0 and variance 1/n; five standard errors of 2000 draws."""
    generator = seeded()
    drawn = torch.stack([torch.stack([flat(v) for v in directions(parameters(), generator)]) for _ in range(2000)])
    assert bool((drawn.mean(0).abs() < 5 * (1 / 16 / 2000) ** 0.5).all())
    # The square of a coordinate is Beta(1/2, 15/2), of variance 2 * 15 / (16^2 * 18).
    assert bool(((drawn.square().mean(0) - 1 / 16).abs() < 5 * (2 * 15 / (16**2 * 18) / 2000) ** 0.5).all())


def test_shapes_and_numbers_are_the_parameters():
    params = parameters(dtype=torch.float32)
    for direction in directions(params, seeded()):
        assert {name: (value.shape, value.dtype) for name, value in direction.items()} == {
            name: (value.shape, value.dtype) for name, value in params.items()
        }


def test_it_repeats_changes_nothing_and_keeps_what_is_not_finite():
    params = {name: value.requires_grad_() for name, value in parameters().items()}
    before = {name: value.detach().clone() for name, value in params.items()}

    def loss(at):
        assert not torch.is_grad_enabled()
        return flat(at).sum().log()

    one, two = (landscape(loss, params, seeded(), radius=9.0, points=3) for _ in range(2))
    torch.testing.assert_close(one.losses, two.losses, equal_nan=True, rtol=0, atol=0)
    assert bool(one.losses.isnan().any())
    assert all(torch.equal(params[name], value) for name, value in before.items())
    other = landscape(loss, params, seeded(2), radius=9.0, points=3)
    assert not torch.equal(one.first["normal"], other.first["normal"])


def test_around_logits_a_share_stays_a_share():
    """Around logits of a relaxation: a loss of the mixing weights is bounded by their extremes wherever the grid goes."""
    space, relaxation = toy(), Softmax()
    group = space.groups[0]
    params = {"cell": relaxation.init(group, seeded()).double()}
    got = landscape(lambda at: relaxation.mean(at["cell"], group)[:, 1].sum(), params, seeded(), radius=50.0, points=5)
    assert bool((got.losses >= 0).all())
    assert bool((got.losses <= len(group.decisions)).all())
    assert float(got.losses[2, 2]) == pytest.approx(len(group.decisions) / 4, abs=0.01)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"radius": 0.0}, "radius of a landscape"),
        ({"radius": math.inf}, "radius of a landscape"),
        ({"points": 50}, "odd number of points"),
        ({"points": 1}, "odd number of points"),
        ({"normalise": "groups"}, "did you mean 'group'"),
    ],
)
def test_misuse_is_told_in_a_sentence(options, words):
    with pytest.raises(RecipeError, match=words):
        landscape(lambda at: 0.0, parameters(), seeded(), **options)


def test_one_parameter_has_no_two_directions():
    few = {"a": torch.zeros(4), "b": torch.zeros(1)}
    directions(few, seeded())
    with pytest.raises(RecipeError, match="in every group"):
        directions(few, seeded(), normalise="group")
    with pytest.raises(RecipeError, match="at least 2 architecture parameters, got 1"):
        directions({"b": torch.zeros(1)}, seeded())
