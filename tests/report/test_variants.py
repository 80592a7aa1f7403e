"""Curves of variants: what is drawn, and that nothing odd breaks it."""

import re
from functools import partial

import numpy as np
import pytest

from mixop.report.variants import variants

pytestmark = pytest.mark.usefixtures("drawn")


def test_every_variant_is_in_the_legend_and_every_run_is_drawn():
    series = {f"variant {k}": np.random.default_rng(k).uniform(size=(3, 5)) for k in range(5)}
    svg = variants(range(1, 6), series, description="five of them", along="epoch")
    for name in series:
        assert name in svg
    assert "five of them" in svg
    assert svg.startswith("<svg")


def test_a_legend_of_long_names_stays_within_the_figure():
    """Each name ends before the side of the figure, where an SVG is cut off; a letter takes 5 px or so."""
    names = [f"{who} pays, head {how}" for who in ("zero", "convolution") for how in ("trained", "fixed")]
    svg = variants((1, 2, 3), {name: np.ones((1, 3)) for name in names}, description="x", along="epoch")
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1])  # pyright: ignore[reportOptionalSubscript]
    places = {text: float(x) for x, text in re.findall(r'<text[^>]* x="([\d.]+)"[^>]*>([^<]+)</text>', svg)}
    assert set(names) <= set(places)
    assert all(places[name] + 5 * len(name) < width for name in names)


def test_gaps_logarithms_and_single_runs():
    series = {"a": np.array([[1.0, np.nan, 0.0, -1.0]]), "b": np.full((1, 4), np.nan)}
    assert variants((1, 2, 3, 4), series, description="x", along="epoch", log=True).startswith("<svg")
    assert " %" in variants((0.5, 1), {"a": np.array([[0.1, 0.2]])}, description="x", along="share", percent=True)


def test_places_may_have_names():
    names = ("without any", "with one")
    drawn = partial(variants, (1, 2), {"a": np.array([[0.1, 0.2]])}, description="x", along="technique")
    assert all(name in drawn(names=names) for name in names)
    assert all(name not in drawn() for name in names)


@pytest.mark.parametrize("most", [3.0, 1e6])
def test_numbers_of_a_logarithmic_axis_are_plain(most):
    """An SVG shows TeX as it is."""
    svg = variants((1, 2), {"a": np.array([[1.2, most]])}, description="x", along="epoch", log=True)
    assert "mathdefault" not in svg
    assert "$" not in svg


def test_small_numbers_of_a_logarithmic_axis_have_no_exponent():
    svg = variants((1, 2), {"a": np.array([[0.25, 4.0]])}, description="x", along="place", log=True)
    words = re.findall(r"<text[^>]*>([^<]+)</text>", svg)
    assert "0.3" in words
    assert not [word for word in words if re.match(r"\d+e", word)]


def test_at_one_place_variants_stand_side_by_side_with_every_run():
    series = {"first": np.array([[0.1], [0.2], [np.nan]]), "second": np.array([[0.3], [0.5], [0.4]])}
    svg = variants((22.0,), series, description="x", along="epoch")
    assert "epoch 22" in svg
    assert "first" in svg
    assert "second" in svg
    assert svg.count("<use ") > variants((22.0,), {"first": series["first"]}, description="x", along="epoch").count("<use ")
    assert "half" in variants((1.0,), series, description="x", along="epoch", names=("half",))
