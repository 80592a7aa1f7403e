"""The sentences: right numbers, and no more than the test images can carry."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from mixop.report.verdict import interval, rank, remarks, stable_since, verdict
from mixop.runs.read import Network, Run, Score, Search, read_run


def scored(found, rivals, *, images=360):
    """A run of which only the score matters."""
    networks = [Network("found", "f", found), *(Network(f"random {n + 1}", "r", a) for n, a in enumerate(rivals))]
    right = round(found * (images or 0))
    confusion = np.array([[right, images - right], [0, 0]]) if images else None
    score = Score(tuple(networks), confusion, ("a", "b"), {})
    return Run(path=Path("runs/x"), recipe={}, space={}, environment={}, native="|f|", score=score)


def test_a_small_lead_is_not_called_better():
    text = verdict(scored(354 / 360, [352 / 360, 350 / 360]))
    assert "98.3 % of 360 test images" in text
    assert "comes 1st of 3, beside 2 random architectures" in text
    assert "0.8 points above their average and 0.6 points above the best of them" in text
    assert "a difference of 2 test images, too few to call it better" in text


def test_a_clear_lead_is_stated_without_doubt():
    text = verdict(scored(0.99, [0.90, 0.92], images=10000))
    assert "8.00 points above their average and 7.00 points above the best of them, a difference of 700 test images." in text
    assert "too few" not in text


def test_being_behind_is_said():
    text = verdict(scored(340 / 360, [352 / 360, 350 / 360]))
    assert "comes 3rd of 3" in text
    assert "3.1 points below their average and 3.3 points below the best of them" in text
    assert "no sign that searching beat picking at random" in text


def test_between_average_and_best():
    text = verdict(scored(352 / 360, [353 / 360, 330 / 360]))
    assert "0.3 points below the best of them, a difference of 1 test image, too few to call it worse" in text
    assert "no sign" not in text


def test_a_tie_shares_the_place():
    text = verdict(scored(0.975, [0.975, 0.95]))
    assert "shares 1st place of 3" in text
    assert "level with the best of them." in text


def test_one_rival_and_unknown_images():
    text = verdict(scored(0.98, [0.97], images=None))
    assert "1 random architecture trained the same way: 1.0 points above it." in text


def test_nothing_to_compare_with():
    assert "nothing says yet whether the search helped" in verdict(scored(0.98, []))


@pytest.mark.parametrize(
    ("upto", "said"),
    [
        ("start", "Nothing has been searched yet"),
        ("search", "stands at 5 of 5 epochs"),
        ("architecture", "found an architecture in 5 epochs; how good it is nobody knows"),
        ("score", "classifies 98.1 % of 360 test images"),
    ],
)
def test_every_stage_has_its_sentence(run_at, upto, said):
    run = read_run(run_at(epochs=5, upto=upto))
    assert said in verdict(run)
    assert verdict(run).endswith(".")


def test_commands_quote_the_path(run_at):
    run = read_run(run_at("my run", upto="start"))
    assert f"mixop resume '{run.path}'" in verdict(run)


def test_interval_is_wilsons():
    for right, images in ((353, 360), (0, 10), (10, 10), (5000, 10000)):
        reference = binomtest(right, images).proportion_ci(0.95, method="wilson")
        assert interval(right / images, images) == pytest.approx((reference.low, reference.high), abs=1e-4)  # z = 1.96
    assert interval(0.5, None) == (0.5, 0.5)


def test_rank_counts_the_better_ones():
    networks = [Network(str(n), "", accuracy) for n, accuracy in enumerate((0.9, 0.8, 0.9, 0.7))]
    assert [rank(network, networks) for network in networks] == [1, 3, 1, 4]


def searched(run, **changes):
    return replace(run, search=replace(run.search, **changes))


def series(run, **last):
    count = len(run.search.epochs)
    return {**run.search.series, **{key: np.full(count, value) for key, value in last.items()}}


def test_remarks_name_collapse_and_indecision(run_at):
    run = read_run(run_at(epochs=20))
    settled = searched(
        run, series=series(run, skip_share=0.2, entropy=0.5), architectures=(run.native,) * len(run.search.epochs)
    )
    assert remarks(settled) == []
    (collapse,) = remarks(searched(settled, series=series(run, skip_share=0.7, entropy=0.5)))
    assert "70.0 %" in collapse
    (undecided,) = remarks(searched(settled, series=series(run, skip_share=0.2, entropy=0.95 * math.log(5))))
    assert "almost uniform" in undecided
    (unsettled,) = remarks(searched(settled, architectures=(*["other"] * 19, run.native)))
    assert "still changed" in unsettled
    (unknown,) = remarks(replace(settled, cells={"cell": {"edges": [{"operation": "skip_connect"}, {"operation": "none"}]}}))
    assert "no operation with weights" in unknown


def test_stable_since_is_where_the_last_architecture_came_to_stay():
    search = Search((3, 4, 5, 6, 7), 10, {}, {}, ("a", "b", "a", "a", "a"))
    run = Run(path=Path("x"), recipe={}, space={}, environment={}, search=search)
    assert stable_since(run) == 5
