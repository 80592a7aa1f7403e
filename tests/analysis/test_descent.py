"""The theorem's phi against its formula in loops, autograd, and cells that are counted by hand."""

import math

import pytest
import torch

from mixop.analysis.descent import cell_phi, guaranteed_decrease, layer_weights, phi, sensitivity
from mixop.core.errors import RecipeError, SpaceError
from mixop.spaces import darts, darts_rnn, enas_macro, nasbench1shot1, nasbench201, toy
from mixop.spaces.core import Roles


def matrices(layers: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    conv, skip = torch.rand(2, layers, layers, generator=generator, dtype=torch.float64)
    return conv, skip


def in_loops(conv, skip, auxiliary=0.0, inputs=1) -> float:
    """As it is printed: conv from layer i into the last, times the squares of all skips into layer i."""
    last = len(conv) - 1
    total = 0.0
    for i in range(last):
        entering = range(i) if i >= inputs else ()
        total += float(conv[i, last]) ** 2 * math.prod((float(skip[t, i]) + auxiliary) ** 2 for t in entering)
    return total


@pytest.mark.parametrize("layers", [2, 3, 4, 7])
@pytest.mark.parametrize("auxiliary", [0.0, 0.7])
def test_phi_is_the_printed_formula(layers, auxiliary):
    conv, skip = matrices(layers, seed=layers)
    assert float(phi(conv, skip, auxiliary=auxiliary)) == pytest.approx(in_loops(conv, skip, auxiliary), rel=1e-12)
    for inputs in range(1, layers):
        assert float(phi(conv, skip, auxiliary=auxiliary, inputs=inputs)) == pytest.approx(
            in_loops(conv, skip, auxiliary, inputs), rel=1e-12
        )


def test_four_layers_written_out():
    conv, skip = matrices(4)
    want = conv[0, 3] ** 2 + conv[1, 3] ** 2 * skip[0, 1] ** 2 + conv[2, 3] ** 2 * (skip[0, 2] * skip[1, 2]) ** 2
    assert float(phi(conv, skip)) == pytest.approx(float(want), rel=1e-12)


def test_only_edges_that_the_formula_names_are_read():
    conv, skip = matrices(5)
    read_conv, read_skip = torch.zeros(5, 5), torch.zeros(5, 5)
    read_conv[:4, 4] = 1
    read_skip[[0, 0, 1, 0, 1, 2], [1, 2, 2, 3, 3, 3]] = 1
    before = phi(conv, skip)
    other = phi(torch.where(read_conv > 0, conv, 9.0), torch.where(read_skip > 0, skip, math.inf))
    assert torch.equal(before, other)


@pytest.mark.parametrize(("auxiliary", "inputs"), [(0.0, 1), (0.3, 1), (0.0, 2)])
@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_sensitivity_is_autograds(auxiliary, inputs, zeros):
    """Also where one or two factors of a product are zero, where a division would not do."""
    conv, skip = matrices(5)
    skip[0, 3] = -auxiliary if zeros > 0 else skip[0, 3]
    skip[2, 3] = -auxiliary if zeros > 1 else skip[2, 3]
    conv.requires_grad_()
    skip.requires_grad_()
    want = torch.autograd.grad(phi(conv, skip, auxiliary=auxiliary, inputs=inputs), (conv, skip))
    got = sensitivity(conv.detach(), skip.detach(), auxiliary=auxiliary, inputs=inputs)
    torch.testing.assert_close(got.conv, want[0])
    torch.testing.assert_close(got.skip, want[1])


def test_a_skip_counts_more_than_its_convolution_where_it_is_smaller():
    """Both derivatives are twice the same term, divided by the weight: 2 term / skip and 2 term / conv."""
    conv, skip = matrices(3)
    got = sensitivity(conv, skip)
    assert float(got.skip[0, 1] * skip[0, 1]) == pytest.approx(float(got.conv[1, 2] * conv[1, 2]), rel=1e-12)


def test_the_decrease_is_the_product():
    conv, skip = matrices(4)
    value = phi(conv, skip)
    assert float(guaranteed_decrease(value, lr=0.1, constant=0.25)) == pytest.approx(0.1 * float(value) / 4, rel=1e-12)


def test_a_cell_of_nasbench201_by_hand():
    space = nasbench201(channels=4, cells=1)  # none, skip, 1x1, 3x3, pool on six edges
    mix = torch.arange(30, dtype=torch.float64).reshape(6, 5)
    got = layer_weights({"cell": mix}, space, "cell")
    edges = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    conv, skip = torch.zeros(2, 4, 4, dtype=torch.float64)
    for e, (source, target) in enumerate(edges):
        skip[source, target] = mix[e, 1]
        conv[source, target] = mix[e, 2] + mix[e, 3]
    assert torch.equal(got.skip, skip)
    assert torch.equal(got.conv, conv)
    assert got.inputs == 1
    largest = layer_weights({"cell": mix}, space, "cell", combine="max").conv
    assert torch.equal(largest[[0, 0, 1, 0, 1, 2], [1, 2, 2, 3, 3, 3]], mix[:, 3]), "the 3x3 has the larger weight"


def test_nothing_enters_the_inputs_of_a_darts_cell():
    space = darts()
    mix = torch.rand(14, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    got = layer_weights({"normal": mix}, space, "normal")
    assert got.inputs == 2
    last = mix[-5:, 4:].sum(-1)  # the five edges into node 5; the four convolutions stand last
    want = last[0] ** 2 + last[1] ** 2  # the inputs, then nodes 2 to 4 with the skips into them
    for node, block in ((2, slice(0, 2)), (3, slice(2, 5)), (4, slice(5, 9))):
        want = want + last[node] ** 2 * mix[block, 3].prod() ** 2
    assert float(phi(got.conv, got.skip, inputs=got.inputs)) == pytest.approx(float(want), rel=1e-12)


def test_roles_of_the_space_say_what_a_skip_is():
    class Renamed(type(nasbench201())):
        roles = Roles(absent=("avg_pool_3x3",), skips=("none",))

    mix = torch.rand(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert float(layer_weights({"cell": mix}, Renamed(), "cell").skip[0, 1]) == float(mix[0, 0])


def test_groups_that_decide_about_one_cell_are_added_up():
    space = enas_macro(depth=3)
    mix = {group.name: torch.full(group.shape, 0.25, dtype=torch.float64) for group in space.groups}
    got = layer_weights(mix, space, "network")
    assert got.conv[0, 1] == got.conv[1, 2] == got.conv[2, 3] == 0.25 * 6
    assert got.skip[0, 2] == got.skip[0, 3] == got.skip[1, 3] == 0.25
    assert float(got.conv.sum()) == 3 * 0.25 * 6


def test_weights_of_layers_carry_gradients():
    space = nasbench201(channels=4, cells=1)
    logits = torch.rand(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)

    def value(alpha):
        weights = layer_weights({"cell": alpha.softmax(-1)}, space, "cell")
        return phi(weights.conv, weights.skip, inputs=weights.inputs)

    assert torch.autograd.gradcheck(value, logits)


def test_cells_without_convolutions_have_no_descent():
    space = toy()
    mix = {"cell": torch.ones(space.groups[0].shape, dtype=torch.float64)}
    weights = layer_weights(mix, space, "cell")
    assert float(phi(weights.conv, weights.skip, inputs=weights.inputs)) == 0


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: phi(torch.zeros(2, 3), torch.zeros(2, 3)), RecipeError, "two square matrices"),
        (lambda: phi(torch.zeros(3, 3), torch.zeros(2, 2)), RecipeError, "two square matrices"),
        (lambda: phi(torch.zeros(1, 1), torch.zeros(1, 1)), RecipeError, "2 x 2 at least"),
        (lambda: phi(torch.tensor(1.0), torch.tensor(1.0)), RecipeError, "two square matrices"),
        (lambda: phi(torch.zeros(3, 3), torch.zeros(3, 3), inputs=3), RecipeError, "given layers"),
        (lambda: phi(torch.zeros(3, 3), torch.zeros(3, 3), auxiliary=-1.0), RecipeError, "auxiliary skip"),
        (lambda: guaranteed_decrease(1.0, lr=0.0, constant=1.0), RecipeError, "step size"),
        (lambda: guaranteed_decrease(1.0, lr=1.0, constant=0.0), RecipeError, "constant"),
        (lambda: layer_weights({}, nasbench201(), "cell", combine="mean"), RecipeError, "way to combine"),  # type: ignore[arg-type]
        (lambda: layer_weights({"cell": torch.zeros(6, 4)}, nasbench201(), "cell"), RecipeError, r"must be \(6, 5\)"),
        (lambda: layer_weights({}, nasbench201(), "normal"), SpaceError, "no cell of nasbench201"),
        (lambda: layer_weights({}, darts_rnn(), "recurrent"), SpaceError, "add up edges"),
        (lambda: layer_weights({}, nasbench1shot1(), "operations"), SpaceError, "add up edges"),
    ],
)
def test_misuse_is_told_in_a_sentence(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_phi_of_a_cell_is_that_of_its_matrices():
    space = darts()
    generator = torch.Generator().manual_seed(4)
    mix = {group.name: torch.rand(group.shape, generator=generator).softmax(-1) for group in space.groups}
    for cell in ("normal", "reduce"):
        found = layer_weights(mix, space, cell, combine="max")
        wanted = phi(found.conv.double(), found.skip.double(), auxiliary=0.4, inputs=2)
        assert cell_phi(mix, space, cell, auxiliary=0.4, combine="max") == pytest.approx(float(wanted))
    with pytest.raises(SpaceError, match="cell of darts"):
        cell_phi(mix, space, "third")
