"""The recurrent space of ENAS as data: its edges, the authors' numbers, the published cell, and what it refuses."""

import random

import pytest

from mixop.core.errors import RecipeError, SpaceError
from mixop.evaluate.protocol import PROTOCOLS
from mixop.nets.costs import measured
from mixop.recipes import RECIPES
from mixop.spaces import EnasRnn, Sizes, enas_rnn
from mixop.spaces.describe import describe_architecture, read_architecture
from mixop.spaces.published import ENAS_PTB

NUMBERS = "0 0 0 1 1 2 1 2 0 2 0 5 1 1 0 6 1 8 1 8 1 8 1"
"""Of the authors' script for the final training."""
WORDS = Sizes((9, 6), 9, dense=True, tokens=True)


def test_node_one_reads_token_and_state_and_every_other_one_node_behind_it():
    (group,) = EnasRnn().groups
    assert (group.shape, group.keep, group.chain) == ((67, 4), 1, "recurrent")
    assert [(d.source, d.target) for d in group.decisions[:5]] == [(0, 1), (1, 2), (1, 3), (2, 3), (1, 4)]
    assert EnasRnn().size() == 39_916_800 * 4**12  # 11! ways to read, each with one of four activations
    assert len(set(EnasRnn(nodes=3).architectures())) == EnasRnn(nodes=3).size() == 2 * 4**3
    assert EnasRnn(nodes=1).size() == 4
    assert enas_rnn(hidden=7, nodes=2) == EnasRnn(hidden=7, nodes=2)


def test_the_published_cell_in_the_authors_numbers():
    space = EnasRnn()
    assert space.to_native(ENAS_PTB) == NUMBERS
    assert space.from_native("0\n0 0\n1 1, 2 1, 2 0 2 0 5 1 1 0 6 1 8 1 8 1 8 1") == ENAS_PTB
    decisions = space.groups[0].decisions
    read = [(decisions[choice.decision].source, choice.option) for choice in ENAS_PTB.of("recurrent")]
    assert read[:4] == [(0, "tanh"), (1, "tanh"), (2, "relu"), (3, "relu")]
    # Their nodes 3, 4, 7, 9, 10 and 11, counted from 0, are read by none.
    assert space.graph_in(ENAS_PTB, "recurrent").output == (4, 5, 8, 10, 11, 12)


def test_random_cells_survive_their_numbers_and_json():
    rng = random.Random(0)
    for _ in range(20):
        architecture = EnasRnn().random(rng)
        assert EnasRnn().from_native(EnasRnn().to_native(architecture)) == architecture
        described = describe_architecture(EnasRnn(), architecture)
        assert described["cells"]["recurrent"]["recurrent"]
        assert "loose" not in described["cells"]["recurrent"]
        assert read_architecture(EnasRnn(), described) == architecture


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0 0", "is written as the activation of the first node.*: 5 numbers, got 2"),
        ("0 1 0 0 0", "Node 1 of enas_rnn reads one of the nodes 0 to 0, got 1"),
        ("0 0 0 2 0", "Node 2 of enas_rnn reads one of the nodes 0 to 1, got 2"),
        ("0 0 4 0 0", "one of the activations 0 tanh, 1 relu, 2 identity, 3 sigmoid, got 4"),
        ("0 tanh 0 0 0", "but there is 'tanh'"),
        (3, "written as a string, got int"),
    ],
)
def test_numbers_that_are_no_cell_are_refused(text, sentence):
    with pytest.raises(SpaceError, match=sentence):
        EnasRnn(nodes=3).from_native(text)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"nodes": 0}, "nodes must be a whole number of at least 1, got 0"),
        ({"nodes": 65}, "nodes must be at most 64, got 65"),
        ({"hidden": 1.5}, "hidden must be a whole number"),
        ({"operations": ()}, "operations must be a list of names"),
        ({"operations": ("none",)}, "operation in enas_rnn"),
        ({"operations": ("tanh", "tanh")}, "must differ"),
        ({"word_dropout": 1.0}, "word dropout must be less than 1"),
        ({"slowness": -1.0}, "slowness of enas_rnn"),
        ({"input_shape": (3, 8, 8)}, "enas_rnn reads the tokens of a text"),
    ],
    ids=str,
)
def test_what_makes_no_cell_is_refused(changes, sentence):
    with pytest.raises((SpaceError, RecipeError), match=sentence):
        EnasRnn(**changes)


def test_every_cell_costs_the_same():
    """Its matrices are those of the nodes, and a mean costs nothing."""
    space = EnasRnn(nodes=3, hidden=5).fit(WORDS)
    costs = measured(space, "parameters")
    # Embedding and bias of 9 words, [x, h] W, and a matrix of two nodes.
    assert costs.least() == costs.most() == 9 * 5 + 9 + 10 * 10 + 2 * 5 * 10
    assert measured(space, "flops").least() == measured(space, "flops").most() > 0


def test_recipes_that_need_edges_with_weights_of_their_own_are_refused_by_name():
    space, refused = EnasRnn(nodes=3, hidden=4).fit(WORDS), {}
    for name, make in RECIPES.items():
        try:
            make().check(space)
        except RecipeError as error:
            refused[name] = str(error)
        except SpaceError as error:
            refused[name] = str(error)
    assert {"enas", "enas_rnn", "rsws", "darts", "drnas", "gdas", "setn"} & refused.keys() == set()
    assert {"pcdarts", "pdarts", "enas_micro", "darts_minus"} <= refused.keys()
    assert "no biases" in refused["enas_micro"]
    assert PROTOCOLS["darts-ptb"].sized(space).hidden == 850
    with pytest.raises(RecipeError, match="enas_rnn"):
        PROTOCOLS["darts-cifar10"].sized(space)
