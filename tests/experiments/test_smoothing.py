"""Rules about landscapes, on numbers that show what is reported and on their opposite."""

import numpy as np
import pytest

from mixop.experiments import quantities as of
from mixop.experiments.base import Findings, Panel
from mixop.experiments.catalogue import CATALOGUE


@pytest.mark.parametrize(("steeper", "verdict"), [("darts", "shows"), ("sdarts_rs", "does not show")])
def test_a_flatter_landscape_under_noise(steeper, verdict):
    noise = np.array([[0.0], [1e-4], [2e-4]]) * np.ones(8)
    panels = {}
    for title in (of.RISE, of.FALL, of.EIGENVALUE):
        series = {name: (0.3 if name == steeper else 0.1) + noise for name in ("darts", "sdarts_rs")}
        series[steeper] = series[steeper] + 3 * noise
        panels[title] = Panel(title, tuple(range(1, 9)), series)
    assert [judged.verdict for judged in CATALOGUE["landscape-sdarts"].judged(Findings(panels))] == [verdict] * 3
