"""A network drawn as a chain: every layer, every skip, and nothing on anything else."""

import random
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from mixop.report.cell import draw_cell
from mixop.report.switches import draw_switches
from mixop.spaces import EnasMacro
from mixop.spaces.describe import describe_architecture
from mixop.spaces.published import ENAS_MACRO

SVG = "{http://www.w3.org/2000/svg}"


def network(space, architecture):
    return describe_architecture(space, architecture)["cells"]["network"]


def drawn(depth, architecture=None):
    space = EnasMacro(depth=depth)
    cell = network(space, architecture or space.random(random.Random(depth)))
    return cell, ET.fromstring(draw_cell(cell))


@pytest.mark.parametrize(("depth", "architecture"), [(1, None), (2, None), (12, None), (24, ENAS_MACRO)])
def test_every_layer_and_every_skip_is_there_once(depth, architecture):
    cell, svg = drawn(depth, architecture)
    skips = [(e["source"], e["target"]) for e in cell["edges"] if e["operation"] == "skip_connect"]
    boxes = [(float(r.get("y")), float(r.get("height"))) for r in svg.iter(f"{SVG}rect")]
    assert len(boxes) == depth + 1
    assert all(y + height < below for (y, height), (below, _) in pairwise(boxes))
    texts = [text.text for text in svg.iter(f"{SVG}text")]
    operations = [e["operation"] for e in cell["edges"] if e["group"] == "operations"]
    assert [text for text in texts if not text.isdigit()] == ["input", *operations]
    assert [int(text) for text in texts if text.isdigit()] == list(range(1, depth + 1))
    dots = {(float(c.get("cx")), float(c.get("cy"))) for c in svg.iter(f"{SVG}circle")}
    assert len(dots) == len(skips)
    # A column for every node that is read, in their order, and the dots of a column in the rows of its readers.
    columns, rows = sorted({x for x, _ in dots}), [y + height / 2 for y, height in boxes]
    sources = sorted({source for source, _ in skips})
    assert len(columns) == len(sources)
    found = {(sources[columns.index(x)], min(range(depth + 1), key=lambda node: abs(rows[node] - y))) for x, y in dots}
    assert found == set(skips)
    width, height = (float(size) for size in svg.get("viewBox").split()[2:])
    assert all(x < width and y < height for x, y in dots)
    assert max(columns, default=0) < width - 8


def test_it_says_what_it_shows():
    space = EnasMacro(depth=3)
    _, svg = drawn(3, space.from_native("0  1 0  4 1 0"))
    assert svg.get("aria-label") == (
        "Network of 3 layers. Layer 1: conv_3x3. Layer 2: separable_conv_3x3. Layer 3: average_pooling, reads also the input."
    )


def test_switches_are_squares_as_full_as_their_weights():
    weights = {(0, 2): 0.25, (0, 3): 1.0, (1, 3): None}
    svg = ET.fromstring(draw_switches(weights, {(0, 3)}, "skips"))
    fills = [float(rect.get("fill-opacity")) for rect in svg.iter(f"{SVG}rect")]
    assert fills == pytest.approx([0.55 * 0.25, 0.55, 0], abs=1e-3)
    titles = [title.text for title in svg.iter(f"{SVG}title")]
    assert titles == ["layer 2 reads the input: 0.25", "layer 3 reads the input: 1.00, taken", "layer 3 reads layer 1: unknown"]
    assert len(list(svg.iter(f"{SVG}circle"))) == 1
    assert not re.search(r"nan|None", ET.tostring(svg, encoding="unicode"))
