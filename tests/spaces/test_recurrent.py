"""The recurrent space as data: its edges, its notation, published cells, derivation, and what it refuses."""

import random

import pytest
import torch
from recurrent import golden, needs_golden, space

from mixop import spaces
from mixop.core.errors import RecipeError, SpaceError
from mixop.derive.argmax import Argmax
from mixop.recipes import RECIPES, on_text
from mixop.spaces import DartsRnn, EnasRnnCell, Sizes, darts, darts_rnn
from mixop.spaces.describe import describe_architecture, read_architecture
from mixop.spaces.published import ARCHITECTURES, DARTS_RNN_V1, DARTS_RNN_V2, ENAS_RNN, SIZES

V2 = (
    "Genotype(recurrent=[('sigmoid', 0), ('relu', 1), ('relu', 1), ('identity', 1), ('tanh', 2), ('sigmoid', 5), "
    "('tanh', 3), ('relu', 5)], concat=range(1, 9))"
)


def test_a_node_keeps_one_of_the_edges_from_all_nodes_before_it():
    (group,) = DartsRnn().groups
    assert (group.shape, group.keep) == ((36, 5), 1)
    assert [(d.source, d.target) for d in group.decisions[:6]] == [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    assert DartsRnn().size() == 40_320 * 4**8  # 8! ways to read, each with one of four activations
    assert DartsRnn(nodes=3, operations=("tanh", "relu")).size() == 6 * 2**3
    assert len(set(DartsRnn(nodes=2).architectures())) == DartsRnn(nodes=2).size() == 32


def test_genotypes_are_read_and_written_as_the_published_code_has_them():
    assert DartsRnn().to_native(DARTS_RNN_V2) == V2
    log = f"03/11 10:20:30 AM {V2}"
    nested = "{'recurrent': " + V2[len("Genotype(recurrent=") : V2.index(", concat")] + ", 'concat': [1,2,3,4,5,6,7,8]}"
    for text in (V2, log, nested):
        assert DartsRnn().from_native(text) == DARTS_RNN_V2
    assert EnasRnnCell().to_native(ENAS_RNN).endswith("('relu', 8)], concat=[2, 5, 6, 9, 10, 11])")
    read = {choice.decision for choice in ENAS_RNN.of("recurrent")}
    sources = {EnasRnnCell().groups[0].decisions[e].source for e in read}
    assert set(EnasRnnCell().graph("recurrent").output) == set(range(12)) - sources, "the output are the loose ends"
    rng = random.Random(0)
    for _ in range(20):
        architecture = DartsRnn().random(rng)
        assert DartsRnn().from_native(DartsRnn().to_native(architecture)) == architecture
        described = describe_architecture(DartsRnn(), architecture)
        assert described["cells"]["recurrent"]["recurrent"]
        assert read_architecture(DartsRnn(), described) == architecture


@needs_golden
def test_published_cells_and_the_derivation_of_the_authors_code():
    for name, architecture in (("V1", DARTS_RNN_V1), ("V2", DARTS_RNN_V2)):
        assert _pairs(architecture) == golden()[f"network_shown_DARTS_{name}"]["genotype"]
    shown = golden()["search_shown"]
    alpha = torch.cos(shown["p"] + 6.5 * torch.arange(36.0)[:, None] + 0.7 * torch.arange(5.0))
    assert _pairs(Argmax()({"recurrent": alpha.softmax(-1)}, DartsRnn())) == shown["genotype"]


def test_another_derivation_of_the_authors_code():
    """For logits sin(1 + 5 e + o), by the authors' code."""
    alpha = torch.sin(1 + 5 * torch.arange(36.0)[:, None] + torch.arange(5.0))
    found = _pairs(Argmax()({"recurrent": alpha.softmax(-1)}, DartsRnn()))
    text = "tanh0 sigmoid1 identity0 identity2 identity3 identity3 identity6 identity4"
    assert [f"{name}{source}" for name, source in found] == text.split()


def _pairs(architecture):
    decisions = DartsRnn().groups[0].decisions
    return [[choice.option, decisions[choice.decision].source] for choice in architecture.of("recurrent")]


def test_pruning_leaves_fewer_activations():
    pruned = DartsRnn(nodes=2).prune({"recurrent": [[1, 2], [0, 4], [2, 3]]})
    assert [d.options for d in pruned.groups[0].decisions] == [("tanh", "relu"), ("none", "identity"), ("relu", "sigmoid")]
    assert pruned.size() == 2 * (1 + 2)  # ``none`` is not kept


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"hidden": 0}, "hidden must be a whole number of at least 1, got 0"),
        ({"operations": ("tanh", "swish")}, "operation in darts_rnn.*swish"),
        ({"operations": ()}, "give at least one operation"),
        ({"edge_operations": (("tanh",),)}, "a list for each of the 36 edges, got 1 lists"),
        ({"output": (0, 1)}, r"increasing nodes from 1 to 8, got \(0, 1\)"),
        ({"output": ()}, "output must be a list of nodes"),
        ({"state_dropout": 1.0}, "state dropout must be less than 1, which drops everything, got 1"),
        ({"slowness": -1.0}, "slowness of darts_rnn must be at least 0"),
        ({"input_shape": (9, 5), "outputs": 8}, "its outputs must be the vocabulary of 9, got 8"),
        ({"tokens": False}, "reads the tokens of a text and predicts the next one at every place: use data of texts"),
    ],
)
def test_what_makes_no_cell_is_refused(changes, sentence):
    with pytest.raises((SpaceError, RecipeError), match=sentence):
        DartsRnn(**changes)


def test_data_that_are_no_texts_are_refused():
    for sizes in (Sizes((3, 8, 8), 10), Sizes((9, 5), 9, dense=False, tokens=True), Sizes((9, 5), 9, dense=True)):
        with pytest.raises(SpaceError, match="use data of texts, such as --data ptb"):
            DartsRnn().fit(sizes)
    assert darts_rnn(hidden=5).fit(Sizes((9, 5), 9, dense=True, tokens=True)).layers[2].out == 9


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Genotype(normal=[])", "must|parts recurrent, concat"),
        ("nonsense", r"is written Genotype\(recurrent="),
        (V2.replace("'sigmoid', 0", "'swish', 0"), "operation on edge 1<-0 of recurrent"),
        (V2.replace("'tanh', 2", "'tanh', 7"), "reads one of the nodes 0 to 4"),
        (V2.replace("('sigmoid', 0), ", ""), "has 8 pairs, got 7"),
        (V2.replace("range(1, 9)", "range(2, 9)"), "concat of a genotype of darts_rnn must be .*: give the space the nodes"),
        (
            EnasRnnCell().to_native(ENAS_RNN),
            "has 8 pairs, got 11: the cell of ENAS, of 11 nodes, is of the space enas_rnn_cell",
        ),
    ],
)
def test_texts_that_are_no_cell_of_the_space_are_refused(text, sentence):
    with pytest.raises(SpaceError, match=sentence):
        DartsRnn().from_native(text)


REFUSED = {
    "darts_minus": "AuxiliarySkip changes how single edges compute",
    "drnas_progressive": "PartialChannels changes|channels",
    "drnas_progressive_201": "PartialChannels changes",
    "drnas_progressive_paper": "PartialChannels changes",
    "pcdarts": "PartialChannels changes",
    "gaea_pcdarts": "PartialChannels changes",
    "sdarts_rs_pc": "PartialChannels changes",
    "sdarts_adv_pc": "PartialChannels changes",
    "pdarts": "SkipDropout changes",
    "snas": "DropPath changes",
    "rdarts_dp": "DropPath changes",
}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_fits_or_says_why_not(name):
    recipe = on_text(RECIPES[name]())
    if name in REFUSED:
        with pytest.raises(RecipeError, match=REFUSED[name]):
            recipe.check(space())
    else:
        recipe.check(space())
    with pytest.raises((RecipeError, SpaceError), match="cuts a text into windows, but darts reads no text"):
        recipe.check(darts().fit(Sizes((3, 32, 32), 10)))


def test_every_published_cell_has_a_space():
    for name, architecture in ARCHITECTURES.items():
        if architecture.space in spaces.SPACES:  # the others are of models
            spaces.SPACES[architecture.space](**SIZES.get(name, {})).check(architecture)
