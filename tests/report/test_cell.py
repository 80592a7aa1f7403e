"""The drawing: well-formed, complete, and nothing lies on anything else."""

import itertools
import re
import xml.etree.ElementTree as ET
from functools import cache

import pytest

from mixop.core.errors import RunError
from mixop.report.cell import draw_cell
from mixop.report.palette import KINDS, kind_of

SVG = "{http://www.w3.org/2000/svg}"


def cell(pairs, operations, *, inputs, nodes, output):
    edges = [{"source": s, "target": t, "operation": o} for (s, t), o in zip(pairs, itertools.cycle(operations), strict=False)]
    return {"inputs": inputs, "nodes": nodes, "output": output, "edges": edges}


def all_pairs(inputs, nodes):
    return [(s, t) for t in range(inputs, nodes) for s in range(t)]


NASBENCH201 = cell(
    all_pairs(1, 4),
    ["nor_conv_3x3", "none", "avg_pool_3x3", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"],
    inputs=1,
    nodes=4,
    output=[3],
)
DARTS_PAIRS = [
    [(0, 2), (1, 2), (0, 3), (1, 3), (1, 4), (0, 4), (0, 5), (2, 5)],
    [(0, 2), (1, 2), (1, 3), (2, 3), (2, 4), (3, 4), (2, 5), (4, 5)],
    [(0, 2), (1, 2), (0, 3), (2, 3), (0, 4), (3, 4), (0, 5), (4, 5)],
]
DARTS = [
    cell(pairs, ["sep_conv_3x3", "dil_conv_5x5", "skip_connect", "max_pool_3x3"], inputs=2, nodes=6, output=[2, 3, 4, 5])
    for pairs in DARTS_PAIRS
]
FULL = cell(all_pairs(2, 6), ["sep_conv_5x5", "a_rather_long_operation_name"], inputs=2, nodes=6, output=[2, 3, 4, 5])
TOY = cell([(0, 3), (1, 4), (2, 5)], ["abs", "sine", "none"], inputs=3, nodes=6, output=[3, 4, 5])
CELLS = [NASBENCH201, *DARTS, FULL, TOY]


@cache
def drawn(index):
    return ET.fromstring(draw_cell(CELLS[index]))


each_cell = pytest.mark.parametrize("index", range(len(CELLS)))


def boxes(root):
    """Rectangles of labels and nodes as (left, top, right, bottom)."""
    for rect in root.iter(f"{SVG}rect"):
        x, y, width, height = (float(rect.get(key)) for key in ("x", "y", "width", "height"))
        yield x, y, x + width, y + height


@each_cell
def test_labels_and_nodes_do_not_overlap_and_stay_inside(index):
    given, root = CELLS[index], drawn(index)
    _, _, width, height = map(float, root.get("viewBox").split())
    found = list(boxes(root))
    concatenation = 1 if len(given["output"]) > 1 else 0
    assert len(found) == len(given["edges"]) + given["nodes"] + concatenation
    for left, top, right, bottom in found:
        assert left >= 0
        assert top >= 0
        assert right <= width
        assert bottom <= height
    for (l1, t1, r1, b1), (l2, t2, r2, b2) in itertools.combinations(found, 2):
        assert r1 <= l2 or r2 <= l1 or b1 <= t2 or b2 <= t1


@each_cell
def test_every_text_fits_its_box(index):
    root = drawn(index)
    for group in root.iter(f"{SVG}g"):
        rect, text = group.find(f"{SVG}rect"), group.find(f"{SVG}text")
        if rect is not None and text is not None:
            assert len(text.text) * 7.25 < float(rect.get("width"))  # 0.602 em of 12 px is DejaVu Sans Mono


@each_cell
def test_edges_carry_their_operations(index):
    given, root = CELLS[index], drawn(index)
    labels = [
        text.text for group in root.iter(f"{SVG}g") if "op-" in group.get("class", "") for text in group.iter(f"{SVG}text")
    ]
    assert sorted(labels) == sorted(edge["operation"] for edge in given["edges"])
    assert all(f"node {e['source']} to node {e['target']}: {e['operation']}" in root.get("aria-label") for e in given["edges"])


def test_an_edge_runs_from_its_source_to_its_target():
    root = ET.fromstring(draw_cell(NASBENCH201))
    nodes = {}
    for group in root.iter(f"{SVG}g"):
        if group.get("class") == "node":
            number = int(re.match(r"node (\d+)", group.find(f"{SVG}title").text)[1])
            nodes[number] = next(boxes(group))
    edges = [group for group in root.iter(f"{SVG}g") if "op-" in group.get("class", "")]
    for group, edge in zip(edges, NASBENCH201["edges"], strict=True):
        line, head = (path.get("d") for path in group.findall(f"{SVG}path"))
        start = [float(number) for number in re.findall(r"-?[\d.]+", line)[:2]]
        end = [float(number) for number in re.findall(r"-?[\d.]+", head)[:2]]
        source, target = nodes[edge["source"]], nodes[edge["target"]]
        assert start[0] == pytest.approx(source[2], abs=0.2)
        assert source[1] < start[1] < source[3]
        assert end[0] == pytest.approx(target[0], abs=0.2)
        assert target[1] < end[1] < target[3]


@each_cell
def test_no_line_passes_behind_a_label_or_node(index):
    found = list(boxes(drawn(index)))
    lines = [path.get("d") for path in drawn(index).iter(f"{SVG}path") if path.get("fill") == "none"]
    for x, y in itertools.chain.from_iterable(map(samples, lines)):
        assert not [box for box in found if box[0] + 1 < x < box[2] - 1 and box[1] + 1 < y < box[3] - 1]


def samples(path):
    """Points on a path of M, H and C commands."""
    x = y = 0.0
    for command, arguments in re.findall(r"([MHC])([^MHC]*)", path):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", arguments)]
        if command == "M":
            x, y = numbers
        elif command == "H":
            yield from ((x + (numbers[0] - x) * t / 20, y) for t in range(21))
            x = numbers[0]
        else:
            points = [(x, y), tuple(numbers[:2]), tuple(numbers[2:4]), tuple(numbers[4:])]
            for t in (n / 20 for n in range(21)):
                weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
                yield tuple(sum(w * p[axis] for w, p in zip(weights, points, strict=True)) for axis in (0, 1))
            x, y = numbers[-2:]


def test_none_is_dashed_and_others_are_not():
    root = ET.fromstring(draw_cell(NASBENCH201))
    dashed = [group.get("class") for group in root.iter(f"{SVG}g") if group.get("stroke-dasharray")]
    assert dashed == ["op-none"]


def test_names_are_escaped_and_the_drawing_is_the_same_every_time():
    given = cell([(0, 1)], ['<script>"&'], inputs=1, nodes=2, output=[1])
    text = draw_cell(given)
    ET.fromstring(text)
    assert "<script" not in text
    assert text == draw_cell(given)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {**NASBENCH201, "edges": [{"source": 0, "target": 1}]},
        {**NASBENCH201, "edges": [{"source": 2, "target": 1, "operation": "none"}]},
        {**NASBENCH201, "edges": [{"source": 0, "target": 9, "operation": "none"}]},
        {**NASBENCH201, "output": []},
        {**NASBENCH201, "output": [9]},
        {**NASBENCH201, "inputs": 4},
        {**NASBENCH201, "nodes": "many"},
    ],
)
def test_what_is_no_cell_is_refused(broken):
    with pytest.raises(RunError, match="damaged"):
        draw_cell(broken)


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("none", "none"),
        ("skip_connect", "skip"),
        ("nor_conv_1x1", "pointwise"),
        ("nor_conv_3x3", "conv"),
        ("conv_7x1_1x7", "conv"),
        ("avg_pool_3x3", "pool"),
        ("max_pool_3x3", "pool"),
        ("sep_conv_5x5", "separable"),
        ("dil_conv_3x3", "dilated"),
        ("sine", "other"),
    ],
)
def test_kinds_of_operations(operation, kind):
    assert kind_of(operation) == kind
    assert kind in KINDS


def test_a_recurrent_cell_has_a_token_a_state_and_a_mean():
    edges = [{"source": 0, "target": 1, "operation": "tanh"}, {"source": 1, "target": 2, "operation": "relu"}]
    cell = {"inputs": 1, "nodes": 3, "output": [1, 2], "edges": edges, "recurrent": True}
    drawn = draw_cell(cell)
    assert "x(t), h(t\u22121)" in drawn
    assert ">h(t)<" in drawn
    assert "mean of nodes 1, 2" in drawn
    assert "concatenated" not in drawn
    assert {"op-tanh", "op-relu"} <= {word.strip('"') for word in drawn.replace("=", " ").split()} or "op-tanh" in drawn


AT_NODES = {
    "inputs": 1,
    "nodes": 7,
    "output": [6],
    "operations": ["conv3x3-bn-relu", "maxpool3x3", "conv1x1-bn-relu", "maxpool3x3", "conv1x1-bn-relu"],
    "edges": [{"source": s, "target": t} for s, t in ((0, 1), (0, 2), (1, 2), (2, 3), (1, 4), (0, 4), (3, 6), (0, 6))],
}
"""A cell with operations at its nodes: nothing reads node 4, and node 5 has no edge."""


def test_operations_at_nodes_are_in_the_nodes():
    svg = draw_cell(AT_NODES)
    nodes = re.findall(r'<g class="op-(\w+)"[^>]*><title>([^<]*)</title>', svg)
    assert [kind for kind, _ in nodes] == ["conv", "pool", "pointwise", "pool"]  # the fifth is left out
    assert nodes[1][1] == "node 2: maxpool3x3 of the sum of the input, node 1"
    assert nodes[3][1].endswith("nothing depends on it")
    assert "1  conv3x3-bn-relu" in svg
    assert svg.count('class="op-concat"') == 8
    assert svg.count('stroke-dasharray="4 4"') == 3  # the node that nothing reads, and the two edges into it
    assert "The output reads node 3, the input." in svg


def test_a_cell_says_the_operations_of_all_of_its_inner_nodes():
    with pytest.raises(RunError, match="an operation for each of its 5 inner nodes"):
        draw_cell({**AT_NODES, "operations": ["maxpool3x3"]})
