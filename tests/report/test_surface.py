"""Surfaces: what is drawn, on one scale, and that nothing odd breaks it."""

import base64
import io
import re

import numpy as np
import pytest
from matplotlib.image import imread

from mixop.report.surface import SIDE, surfaces

pytestmark = pytest.mark.usefixtures("drawn")
AXIS = (-1.0, -0.5, 0.0, 0.5, 1.0)
ONE, OTHER = np.meshgrid(AXIS, AXIS, indexing="ij")


def pictures(svg):
    """The opacity of every heat map, from the top row down: in the file they stand on their heads, and are turned."""
    texts = re.findall(r"base64,\s*([^\"]+)", svg)
    assert len(re.findall(r'transform="matrix\([\d.]+ 0 0 -', svg)) == len(texts)
    return [imread(io.BytesIO(base64.b64decode(text)))[::-1, :, 3] for text in texts]


def test_all_variants_have_one_scale_and_the_first_side_runs_to_the_right():
    steep, flat = 4 * ONE, ONE**2 + OTHER
    svg = surfaces(AXIS, {"steep": steep, "flat": flat}, description="two of them", along="distance")
    for text in ("steep", "flat", "two of them", "distance, along two directions", "\u22124 to 4", "\u22121 to 2"):
        assert text in svg
    first, second = pictures(svg)
    assert np.ptp(first) == pytest.approx(0.85, abs=0.01)
    assert np.ptp(second) == pytest.approx(0.85 * 3 / 8, abs=0.01)
    height, width = first.shape
    assert first[height // 2, -1] > first[height // 2, 0]
    assert first[0, width // 2] == pytest.approx(first[-1, width // 2], abs=0.01)
    assert second[0, width // 2] > second[-1, width // 2]  # the second side runs upwards


@pytest.mark.parametrize(
    "values", [np.zeros((5, 5)), np.full((5, 5), np.nan), np.where(np.eye(5) > 0, np.nan, ONE), np.zeros((5, 5)) + ONE**2]
)
def test_flat_unknown_and_broken_ones(values):
    svg = surfaces(AXIS, {"a": values, "b": 10 + ONE}, description="x", along="distance", percent=True)
    assert svg.startswith("<svg")
    assert " %" in svg


def test_nothing_at_all():
    assert surfaces((), {"a": np.zeros((0, 0))}, description="x", along="distance").startswith("<svg")
    assert surfaces((0.0,), {"a": np.zeros((1, 1))}, description="x", along="distance").startswith("<svg")


def test_two_stand_in_a_row_and_all_have_one_size():
    svg = surfaces(AXIS, dict.fromkeys("abc", ONE), description="x", along="distance")
    width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)[0])
    assert width < 380  # px: letters are as large on a phone
    assert height > 2 * SIDE
    assert {picture.shape for picture in pictures(svg)} == {pictures(svg)[0].shape}
