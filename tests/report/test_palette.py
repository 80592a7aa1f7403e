"""Colours stay apart for every reader, and stand out from their ground."""

from itertools import combinations

import numpy as np
import pytest

from mixop.report.palette import KINDS

SEEN = {
    # Machado, Oliveira and Fernandes, 2009, table 1, severity 1.0, of linear sRGB.
    "all colours": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}
XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
WHITE = XYZ.sum(1)

TOGETHER = ("conv", "pointwise", "separable", "dilated", "pool", "skip", "none", "other")
"""Kinds that one figure may have; those of recurrent cells take some of these colours."""

APART = 12.0
"""Distance in CIE 1976 L*a*b*; 2.3 is one that is just noticed side by side."""


def linear(colour: str) -> np.ndarray:
    encoded = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    t = XYZ @ np.clip(rgb, 0, 1) / WHITE
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one: str, other: str) -> float:
    """Of WCAG 2, from 1 to 21."""
    low, high = sorted(float((XYZ @ linear(colour))[1]) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def test_the_distance_is_that_of_known_colours():
    assert lab(linear("#ffffff")) == pytest.approx([100, 0, 0], abs=1e-9)
    assert lab(linear("#ff0000")) == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
    assert contrast("#ffffff", "#000000") == pytest.approx(21)


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_no_two_kinds_look_alike_to_anybody(mode: str, seen: str):
    colours = {name: lab(SEEN[seen] @ linear(getattr(KINDS[name], mode))) for name in TOGETHER}
    for one, other in combinations(TOGETHER, 2):
        distance = float(np.linalg.norm(colours[one] - colours[other]))
        assert distance >= APART, f"{one} and {other} are only {distance:.1f} apart"


def test_recurrent_cells_take_colours_of_these():
    known = {(KINDS[name].light, KINDS[name].dark) for name in TOGETHER}
    assert all((kind.light, kind.dark) in known for kind in KINDS.values())


@pytest.mark.parametrize(("mode", "ground"), [("light", "#ffffff"), ("dark", "#1a2028")])
def test_words_in_these_colours_can_be_read(mode: str, ground: str):
    for name, kind in KINDS.items():
        least = 3.0 if name == "none" else 4.5  # of WCAG 2 for what is switched off, and for text
        assert contrast(getattr(kind, mode), ground) >= least, name
