"""Cells of NAS-Bench-101: hashes and sizes that its authors published, and texts as people write them."""

from random import Random

import pytest
from model_specs import FIRST

from mixop.core.errors import SpaceError
from mixop.spaces.model_spec import OPERATIONS, ModelSpec, read_spec, spec_of

FIRST_HASH = "00005c142e6f48ac74fdcf73e3439874"


def random_spec(rng):
    count = rng.randint(2, 7)
    matrix = tuple(tuple(int(t > s and rng.random() < 0.5) for t in range(count)) for s in range(count))
    return ModelSpec(matrix, tuple(rng.choice(OPERATIONS) for _ in range(count - 2)))


def reordered(spec, rng):
    """The same graph with its inner vertices in another order that is still one of a matrix above its diagonal."""
    count = len(spec.matrix)
    while True:
        order = [0, *rng.sample(range(1, count - 1), count - 2), count - 1]
        matrix = tuple(tuple(spec.matrix[s][t] for t in order) for s in order)
        if all(not matrix[s][t] for s in range(count) for t in range(s + 1)):
            return ModelSpec(matrix, tuple(spec.operations[v - 1] for v in order[1:-1]))


def test_the_hash_is_the_published_one():
    assert FIRST.module_hash() == FIRST_HASH


def test_the_order_of_vertices_and_loose_ends_make_no_difference():
    rng, seen = Random(0), 0
    for _ in range(200):
        spec = random_spec(rng)
        pruned = spec.pruned()
        if pruned is None:
            continue
        seen += 1
        for other in (reordered(spec, rng), spec.filled(7)):
            assert other.pruned().module_hash() == pruned.module_hash()
        assert pruned.pruned() == pruned
    assert seen > 50


def test_what_is_on_no_path_goes():
    spec = ModelSpec(
        ((0, 1, 1, 0, 1), (0, 0, 0, 0, 0), (0, 0, 0, 0, 1), (0, 0, 0, 0, 1), (0,) * 5), OPERATIONS
    )  # vertex 1 is read by nothing, vertex 3 reads nothing
    assert spec.pruned() == ModelSpec(((0, 1, 1), (0, 0, 1), (0, 0, 0)), ("conv1x1-bn-relu",))
    assert ModelSpec(((0, 0), (0, 0)), ()).pruned() is None


def test_other_operations_and_edges_have_another_hash():
    others = [ModelSpec(FIRST.matrix, (*FIRST.operations[:4], "maxpool3x3"))]
    rows = [list(row) for row in FIRST.matrix]
    rows[0][6] = 1
    others.append(ModelSpec(tuple(map(tuple, rows)), FIRST.operations))
    assert len({spec.module_hash() for spec in (FIRST, *others)}) == 3


def test_channels_are_shared_and_never_grow():
    # Vertices 1, 2, 3 and 5 share 130 channels, two of which are left over; vertex 4 feeds nothing but 5.
    out = (0,) * 6 + (1,)
    matrix = ((0, 1, 1, 1, 1, 0, 0), out, out, (0,) * 5 + (1, 1), (0,) * 5 + (1, 0), out, (0,) * 7)
    assert ModelSpec(matrix, ("maxpool3x3",) * 5).channels(64, 130) == (64, 33, 33, 32, 32, 32, 130)
    with pytest.raises(SpaceError, match="joins 4 vertices"):
        ModelSpec(matrix, ("maxpool3x3",) * 5).channels(64, 3)


NAMES = ("input", *FIRST.operations, "output")

TEXTS = (
    FIRST.text(),
    f"cell = api.{FIRST.text()}  # the first one",
    f"ModelSpec({[list(row) for row in FIRST.matrix]}, {['input', *FIRST.operations, 'output']})",
    str({"module_adjacency": FIRST.matrix, "module_operations": ["input", *FIRST.operations, "output"]}),
    str({"adjacency": "".join(str(e) for row in FIRST.matrix for e in row), "operations": ",".join(NAMES)}),
)


@pytest.mark.parametrize("text", TEXTS)
def test_texts_of_people_are_read(text):
    assert read_spec(text, "nasbench101") == FIRST


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is written ModelSpec"),
        ("ModelSpec(matrix=[[0,1],[0,0]]", "is written ModelSpec"),
        ("ModelSpec(matrix=open('x'), ops=['input', 'output'])", "is written ModelSpec"),
        ("ModelSpec(matrix=[[0,1],[0,0]])", "needs ops, a list of names"),
        ("ModelSpec(matrix=[[0,1],[0]], ops=['input', 'output'])", "must be square"),
        ("ModelSpec(matrix=[[0,2],[0,0]], ops=['input', 'output'])", "0 and 1 above its diagonal"),
        ("ModelSpec(matrix=[[0,1],[1,0]], ops=['input', 'output'])", "0 and 1 above its diagonal"),
        ("ModelSpec(matrix=[[0,1],[0,0]], ops=['input', 'maxpool3x3'])", "ends with 'output'"),
        ("ModelSpec(matrix=[[0,1],[0,0]], ops=['input', 'maxpool3x3', 'output'])", "has 0 operations"),
        ({"matrix": "01"}, "written as a string"),
        ("{'matrix': '010', 'ops': 'input,output'}", "a square number of them"),
        ("ModelSpec(" + "[" * 3000, "is written ModelSpec"),
        ("ModelSpec(" + "-" * 3900 + "1)", "is written ModelSpec"),
        ("x" * 5000, "at most 4,000 characters"),
    ],
)
def test_what_is_no_cell_is_refused(text, problem):
    with pytest.raises(SpaceError, match=problem):
        read_spec(text, "nasbench101")


def test_the_hash_knows_the_benchmarks_operations_only():
    with pytest.raises(SpaceError, match="got 'sep_conv'"):
        spec_of([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", "sep_conv", "output"], "A cell").module_hash()
