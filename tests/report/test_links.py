"""The drawing of a chain of choices: boxes in their order, in rows that fit a page, and only where the model is a chain."""

import xml.etree.ElementTree as ET
from collections import OrderedDict
from itertools import pairwise

import pytest
from torch import nn

import mixop
from mixop.core.errors import RunError
from mixop.nets.modules.space import in_module
from mixop.report.drawing import drawings
from mixop.report.links import WIDE, Link, draw_links, links
from mixop.runs.read import read_run
from mixop.spaces.published import PROXYLESS_MOBILE, in_words

SVG = "{http://www.w3.org/2000/svg}"
TAKEN = {name: chosen[0].option for name, chosen in PROXYLESS_MOBILE.choices}
OPTIONS = [*(f"{k}x{k}_e{e}" for e in (6, 3) for k in (3, 5, 7)), "skip"]
PLACES = links(list(TAKEN), TAKEN, dict.fromkeys(TAKEN, OPTIONS))


def boxes(root: ET.Element) -> list[tuple[float, float, float]]:
    """Left, right and height of every box."""
    rects = [(float(r.get("x", "")), float(r.get("y", "")), float(r.get("width", ""))) for r in root.iter(f"{SVG}rect")]
    return [(x, x + width, y) for x, y, width in rects]


def test_boxes_stand_in_their_order_in_rows():
    root = ET.fromstring(draw_links(PLACES))
    options = [text.text for text in root.iter(f"{SVG}text") if text.get("class") != "place"]
    assert options == ["input", *TAKEN.values(), "output"]
    assert [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "place"] == [str(n) for n in range(21)]
    found = boxes(root)
    for (_, right, y), (left, _, then) in pairwise(found):
        assert (then == y and left > right) or then > y
    rows = [sum(1 for *_, height in found if height == y) for y in {height for *_, height in found}]
    assert len(rows) == 2
    assert min(rows) > 9  # no row has next to nothing
    assert float(root.get("width", "")) <= WIDE


def test_equal_options_have_equal_colours_and_what_is_left_out_is_dashed():
    kinds = {link.option: link.kind for link in PLACES}
    assert kinds.pop("skip") == "skip"
    assert len(set(kinds.values())) == len(kinds) == 5
    root = ET.fromstring(draw_links(PLACES))
    dashed = [r for r in root.iter(f"{SVG}rect") if r.get("stroke-dasharray")]
    assert len(dashed) == sum(link.option == "skip" for link in PLACES)


def test_it_is_told_in_words_and_names_are_escaped():
    text = draw_links([Link("a.0", "<3x3>", "conv")])
    assert ET.fromstring(text).get("aria-label") == "Chain of 1 decisions. a.0: <3x3>."


def choice() -> mixop.Choice:
    return mixop.Choice({"a": nn.Identity(), "b": nn.ReLU()})


class Beside(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = choice(), choice()

    def forward(self, x):
        return self.one(x) + self.two(x)


@pytest.mark.parametrize(
    ("model", "chain"),
    [
        (lambda: nn.Sequential(choice(), nn.ReLU(), nn.Sequential(choice())), ("0", "2.0")),
        (lambda: nn.Sequential(OrderedDict(x=choice())), ("x",)),
        (lambda: nn.Sequential(choice(), Beside()), ()),
        (lambda: nn.Sequential(mixop.Choice([nn.Sequential(choice()), nn.ReLU()])), ()),
        (Beside, ()),
    ],
)
def test_choices_in_nothing_but_sequentials_are_a_chain(model, chain):
    assert in_module(model()).chain == chain


def test_a_run_draws_its_chain(tmp_path):
    space = mixop.spaces.mobilenet(stem=2, first=2, widths=(2,), layers=(2,), strides=(1,), last=4)
    data = mixop.data.digits()
    run = tmp_path / "run"
    mixop.retrain("blocks.0=5x5_e3, blocks.1=skip", space, data, run, epochs=1)
    (picture,) = drawings(read_run(run)).values()
    assert picture in (run / "architecture.svg").read_text()
    assert ">5x5_e3<" in picture
    damaged = (run / "architecture.json").read_text().replace('"chain"', '"chain": ["other"], "before"')
    (run / "architecture.json").write_text(damaged)
    with pytest.raises(RunError, match="decisions with one option each in 'chain'"):
        read_run(run)


def test_published_chains_are_written_as_their_space_does():
    assert in_words(PROXYLESS_MOBILE).startswith("blocks.0=5x5_e3, blocks.1=3x3_e3, blocks.2=skip")
