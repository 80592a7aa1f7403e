"""The drawing of a random graph: every node and edge is there, nothing lies on anything else, edges run from left to right."""

import re
import xml.etree.ElementTree as ET
from random import Random

import pytest

from mixop.report.drawing import alike, draw
from mixop.report.palette import KINDS
from mixop.report.wiring import WIDE
from mixop.spaces import RandWire
from mixop.spaces.describe import describe_architecture
from mixop.spaces.randwire import BarabasiAlbert, ErdosRenyi, WattsStrogatz

SVG = "{http://www.w3.org/2000/svg}"
MODELS = {"ws": WattsStrogatz(), "ba": BarabasiAlbert(), "er": ErdosRenyi()}


def cell_of(model: str, nodes: int = 32) -> dict:
    space = RandWire(wiring=MODELS[model], nodes=nodes)
    return describe_architecture(space, space.random(Random(1)))["cells"]["conv3"]


def boxes(root: ET.Element) -> dict[str, tuple[float, float, float, float]]:
    """Left, top, right and bottom of every node by its name."""
    found = {}
    for group in root.iter(f"{SVG}g"):
        if group.get("class") == "node":
            rect, text = group.find(f"{SVG}rect"), group.find(f"{SVG}text")
            assert rect is not None
            assert text is not None
            x, y, width, height = (float(rect.get(name, "")) for name in ("x", "y", "width", "height"))
            found[text.text or ""] = x, y, x + width, y + height
    return found


@pytest.mark.parametrize("model", MODELS)
def test_the_graph_is_drawn(model):
    cell = cell_of(model)
    root = ET.fromstring(draw(cell))
    nodes = boxes(root)
    assert set(nodes) == {"in", "out", *map(str, range(1, 33))}
    names = {0: "in", 33: "out"} | {n: str(n) for n in range(1, 33)}
    edges = [g for g in root.iter(f"{SVG}g") if (g.get("class") or "").startswith("op-")]
    assert len(edges) == len(cell["edges"])
    for drawn, edge in zip(edges, cell["edges"], strict=True):
        numbers = [float(n) for n in re.findall(r"-?[\d.]+", drawn.findall(f"{SVG}path")[0].get("d", ""))]
        source, target = nodes[names[edge["source"]]], nodes[names[edge["target"]]]
        assert numbers[0] == pytest.approx(source[2], abs=0.2)
        assert source[1] < numbers[1] < source[3]
        assert target[1] < numbers[-1] < target[3]
        assert numbers[-2] < target[0] < numbers[-2] + 10
        assert source[2] < target[0]
    for name, (left, top, right, bottom) in nodes.items():
        assert 0 < left < right < float(root.get("width", ""))
        assert 0 < top < bottom < float(root.get("height", ""))
        for other, box in nodes.items():
            assert name == other or right < box[0] or box[2] < left or bottom < box[1] or box[3] < top
    assert float(root.get("width", "")) < WIDE + 30


def test_edges_pass_between_nodes():
    """Where an edge crosses a column its line is level, and no node of the column is there."""
    cell = cell_of("ws")
    root = ET.fromstring(draw(cell))
    nodes = list(boxes(root).values())
    for path in root.iter(f"{SVG}path"):
        for x, y, to in re.findall(r"([\d.]+) ([\d.]+)H([\d.]+)", path.get("d", "")):
            for left, top, right, bottom in nodes:
                inside = float(x) < right and left < float(to)
                assert not (inside and top < float(y) < bottom)


def test_it_is_told_in_words_and_has_both_themes():
    text = draw(cell_of("er", nodes=6))
    label = ET.fromstring(text).get("aria-label") or ""
    assert label.startswith("Graph of 6 nodes, each separable_3x3. 1 reads in; ")
    assert "out reads" in label
    assert all(kind.dark in text for name, kind in KINDS.items() if name != "none")


def test_small_graphs_and_cells_keep_their_labels():
    assert not alike(cell_of("ws", nodes=5))
    assert not alike({"inputs": 1, "nodes": 2, "output": [1], "edges": [{"source": 0, "target": 1, "operation": "none"}]})
