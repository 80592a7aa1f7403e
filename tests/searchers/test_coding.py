"""Questions, neighbours and mutations, against enumeration of small spaces."""

from collections import Counter
from random import Random

import pytest
from scipy.stats import chisquare

from mixop.core.errors import SpaceError
from mixop.searchers.coding import mutated, neighbours, questions, read, unseen, write
from mixop.spaces import CellSpace, darts
from mixop.spaces.core import Architecture, Choice
from mixop.spaces.toy import Toy


@pytest.fixture(params=["toy", "cells", "kept"])
def space(request, kept):
    cells = CellSpace(operations=("none", "skip_connect", "nor_conv_1x1"), nodes=3)
    return {"toy": Toy(), "cells": cells, "kept": kept}[request.param]


def pairs(architecture: Architecture) -> set[tuple[int, str]]:
    return {(choice.decision, choice.option) for choice in architecture.of("cell")}


def targets(space, architecture):
    return Counter(space.group("cell").decisions[choice.decision].target for choice in architecture.of("cell"))


def test_every_architecture_is_read_and_written(space):
    everything = list(space.architectures())
    assert len(everything) == space.size()
    for architecture in everything:
        answers = read(space, architecture)
        assert write(space, [answer or 0 for answer in answers]) == architecture
    assert len({read(space, architecture) for architecture in everything}) == len(everything)


def test_questions_of_a_space_that_keeps_edges(kept):
    ways, options = [q for q in questions(kept) if q.edge is None], [q for q in questions(kept) if q.edge is not None]
    assert [q.answers for q in ways] == [((0, 1),), ((2, 3), (2, 4), (3, 4))]
    assert [q.answers for q in options] == [("a", "b")] * 5
    assert [len(q.answers) for q in questions(darts()) if q.edge is None] == [1, 3, 6, 10] * 2


def test_answers_of_edges_that_are_not_kept_do_not_matter(kept):
    one, other = write(kept, [0, 1, 1, 0, 1, 0, 1]), write(kept, [0, 1, 1, 0, 1, 1, 1])  # edges 2 and 4 are kept, 3 is not
    assert one == other
    assert kept.to_native(one) == "0b 1a 2b 4b"
    assert read(kept, one) == (0, 1, 1, 0, 1, None, 1)


def test_what_the_questions_do_not_cover_is_refused(kept):
    with pytest.raises(SpaceError, match="asks 7 questions, got 2"):
        write(kept, [0, 0])
    with pytest.raises(SpaceError, match="two operations"):
        read(kept, kept.from_native("0a 0b 2a 3a"))
    with pytest.raises(SpaceError, match="takes one of none, skip_connect"):
        read(Toy(), Architecture("toy", (("cell", (Choice(0, "abs"), Choice(1, "abs"))),)))


def test_neighbours_are_those_that_enumeration_finds(space):
    """One choice differs, and as many edges go into every node as before."""
    everything = list(space.architectures())
    for architecture in Random(0).sample(everything, 10):
        found = neighbours(space, architecture)
        wanted = {
            other
            for other in everything
            if len(pairs(other) - pairs(architecture)) == 1 and targets(space, other) == targets(space, architecture)
        }
        assert len(found) == len(set(found))
        assert set(found) == wanted


def test_a_mutation_draws_node_edge_and_option_one_after_the_other():
    """Node 1 has one edge, node 2 has two: the first edge changes in half of the children, the others in a quarter each."""
    space = CellSpace(operations=("none", "skip_connect", "nor_conv_1x1"), nodes=3)
    parent = space.architecture([(0, 1, 2)])
    expected = {}
    for child in neighbours(space, parent):
        (edge,) = {edge for edge, _ in pairs(child) ^ pairs(parent)}
        expected[child] = {0: 1 / 2, 1: 1 / 4, 2: 1 / 4}[edge] / 2
    n = 8000
    counts = Counter(mutated(space, parent, Random(seed)) for seed in range(n))
    assert counts.keys() == expected.keys()
    assert chisquare([counts[child] for child in expected], [n * p for p in expected.values()]).pvalue > 1e-3


def test_where_edges_are_kept_an_edge_is_replaced_half_of_the_time(kept):
    """Node 2 has no other edges, so only its options change; node 3 has one, which takes over the option."""
    parent = kept.from_native("0a 1a 2a 3b")
    expected = {
        "0b 1a 2a 3b": 1 / 4,
        "0a 1b 2a 3b": 1 / 4,
        "0a 1a 2b 3b": 1 / 8,
        "0a 1a 2a 3a": 1 / 8,
        "0a 1a 3b 4a": 1 / 8,
        "0a 1a 2a 4b": 1 / 8,
    }
    n = 8000
    counts = Counter(kept.to_native(mutated(kept, parent, Random(seed))) for seed in range(n))
    assert counts.keys() == expected.keys()
    assert chisquare([counts[child] for child in expected], [n * p for p in expected.values()]).pvalue > 1e-3


def test_members_of_the_darts_space_stay_members():
    space = darts()
    architecture = space.random(Random(1))
    for seed in range(200):
        child = mutated(space, architecture, Random(seed))
        space.check(child)
        assert child != architecture
        assert child in neighbours(space, architecture)
        architecture = child


def test_a_space_of_one_architecture_cannot_mutate():
    space = CellSpace(operations=("skip_connect",), nodes=2)
    with pytest.raises(SpaceError, match="nothing to mutate"):
        mutated(space, space.random(Random(0)), Random(0))


def test_unseen_leaves_out_what_was_seen_and_says_when_all_is():
    space = Toy()
    natives = [space.to_native(architecture) for architecture in space.architectures()]
    for seed in range(5):
        assert space.to_native(unseen(space, natives[:7] + natives[8:], Random(seed))) == natives[7]
    assert unseen(space, natives, Random(0)) is None
