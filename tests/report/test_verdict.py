"""The sentences: right numbers, and no more than the examples can carry."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from mixop.core.measure import ACCURACY, LOSS, Measure
from mixop.report.verdict import beside_known, interval, rank, remarks, stable_since, verdict
from mixop.runs.read import RunContents, SearchCurves, read_run
from mixop.runs.records import KnownNetworks, NetworkScore, PlannedNetwork, Scope, Score

RMSE = Measure("rmse", "lower", "mm")
IOU = Measure("mean_iou", "higher", style="percent")


def network(label, value, measure=ACCURACY):
    return NetworkScore(
        label=label, architecture="a", measures={measure.name: value}, parameters=1, flops=1, seconds=1, epochs=1, seed=0
    )


def contents(**changes):
    empty: dict[str, Any] = {
        **{name: {} for name in ("recipe", "space", "environment", "settings", "decisions", "cells")},
        "data": {"shape": [1, 8, 8]},
        "measures": (ACCURACY, LOSS),
        "search": None,
        "retrainings": (),
        "native": None,
        "score": None,
        "known": None,
    }
    empty |= {"choices": None, "costs": {}, "inputs": {}}
    return RunContents(path=Path("runs/x"), **{**empty, **changes})


def scored(found, rivals, *, images: int | None = 360, measure=ACCURACY, rival="random", part="test", shape=(1, 8, 8)):
    """A run of which only the score matters; without a number of images there is no confusion."""
    networks = [network("found", found, measure), *(network(f"{rival} {n + 1}", a, measure) for n, a in enumerate(rivals))]
    right = round(found * (images or 0))
    score = Score(
        networks=tuple(networks),
        trained_on=Scope(parts=("train", "valid"), examples=1000),
        scored_on=Scope(parts=(part,), examples=images or 360),
        task={},
        measures=(measure,),
        protocol={},
        input={},
        weights_sha256="",
        bound_to={},
        classes=("a", "b") if images else (),
        confusion=((right, images - right), (0, 0)) if images else (),
    )
    return contents(native="|f|", score=score, measures=(measure,), data={"shape": list(shape)})


def test_a_small_lead_is_not_called_better():
    text = verdict(scored(354 / 360, [352 / 360, 350 / 360]))
    assert "reaches 98.3 % accuracy on 360 test images and" in text
    assert "comes 1st of 3, beside 2 random architectures" in text
    assert "0.8 points above their average and 0.6 points above the best of them" in text
    assert "a difference of 2 test images, too few to call it better" in text


def test_a_clear_lead_is_stated_without_doubt():
    text = verdict(scored(0.99, [0.90, 0.92], images=10000))
    assert "8.00 points above their average and 7.00 points above the best of them, a difference of 700 test images." in text
    assert "too few" not in text


def test_being_behind_is_said():
    text = verdict(replace(scored(340 / 360, [352 / 360, 350 / 360]), search=SEARCH))
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


def test_one_rival_of_a_measure_that_no_examples_are_counted_for():
    text = verdict(scored(0.98, [0.97], images=None))
    assert "reaches 98.0 % accuracy on 360 test images and comes 1st of 2" in text
    assert text.endswith("1 random architecture trained the same way: 1.0 points above it.")


def test_where_lower_is_better_lower_comes_first():
    text = verdict(scored(0.42, [0.45, 0.47], images=None, measure=RMSE, shape=(30,)))
    assert "reaches an RMSE of 0.420 mm on 360 test examples (lower is better) and comes 1st of 3" in text
    assert "0.040 mm below their average and 0.030 mm below the best of them; theirs range from 0.450 to 0.470 mm." in text
    assert "no sign" not in text


def test_where_lower_is_better_higher_is_behind():
    text = verdict(replace(scored(0.48, [0.45, 0.47], images=None, measure=RMSE), search=SEARCH))
    assert "comes 3rd of 3" in text
    assert "0.020 mm above their average and 0.030 mm above the best of them" in text
    assert text.endswith("; this run gives no sign that searching beat picking at random.")


def test_a_share_of_something_else_has_no_count_of_images():
    text = verdict(scored(0.61, [0.6, 0.55], images=None, measure=IOU))
    assert "reaches 61.0 % mean IoU on 360 test images and comes 1st of 3" in text
    assert "1.0 points above the best of them; theirs range from 55.0 to 60.0 %." in text


def test_candidates_of_a_selection_are_not_random_and_their_examples_not_test():
    text = verdict(scored(340 / 360, [352 / 360, 350 / 360], rival="candidate", part="valid"))
    assert "on 360 validation images and comes 3rd of 3, beside 2 other candidates trained the same way" in text
    assert "a difference of 12 validation images" in text
    assert "random" not in text
    assert "test" not in text


def test_nothing_to_compare_with():
    text = verdict(replace(scored(0.98, []), search=SEARCH))
    assert "it is not known yet whether the search helped" in text


def test_an_architecture_that_was_given_is_not_said_to_be_found():
    """A retraining of a published one, or of a random one, had no search."""
    alone = verdict(scored(0.98, []))
    assert alone == (
        "The architecture reaches 98.0 % accuracy on 360 test images; no random architecture was trained beside it, so it is "
        "not known yet whether it is better than one."
    )
    behind = verdict(scored(340 / 360, [352 / 360, 350 / 360]))
    assert behind.startswith("The architecture reaches")
    assert behind.endswith("; this run gives no sign that it is better than one picked at random.")


@pytest.mark.parametrize(
    ("upto", "said"),
    [
        ("start", "Nothing has been searched yet"),
        ("search", "stands at 5 of 5 epochs"),
        ("architecture", "found an architecture in 5 epochs; to see how good it is, train it from scratch"),
        ("score", "reaches 98.1 % accuracy on 360 test images"),
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


@pytest.mark.parametrize(("measure", "places"), [(ACCURACY, [1, 3, 1, 4, 5]), (LOSS, [3, 2, 3, 1, 5])])
def test_rank_counts_the_better_ones(measure, places):
    networks = [network(str(n), value, measure) for n, value in enumerate((0.9, 0.8, 0.9, 0.7, None))]
    assert [rank(each, networks, measure) for each in networks] == places


def searched(run, **changes):
    return replace(run, search=replace(run.search, **changes))


def steady(run, **values):
    return {key: np.full(len(run.search.epochs), value) for key, value in values.items()}


def test_remarks_name_collapse_and_indecision(run_at):
    run = read_run(run_at(epochs=20))
    settled = searched(run, **steady(run, skip_share=0.2, entropy=0.5), architectures=(run.native,) * len(run.search.epochs))
    assert remarks(settled) == []
    (collapse,) = remarks(searched(settled, **steady(run, skip_share=0.7, entropy=0.5)))
    assert "70.0 %" in collapse
    (undecided,) = remarks(searched(settled, **steady(run, skip_share=0.2, entropy=0.95 * math.log(5))))
    assert "almost uniform" in undecided
    (unsettled,) = remarks(searched(settled, architectures=(*["other"] * 19, run.native)))
    assert "still changed" in unsettled
    (unknown,) = remarks(replace(settled, cells={"cell": {"edges": [{"operation": "skip_connect"}, {"operation": "none"}]}}))
    assert "no operation with weights" in unknown


@pytest.mark.parametrize(
    ("reached", "counts", "said"),
    [
        (0.27, [50, 50, 50, 50], "27.0 % accuracy on validation examples, where naming the most frequent class reaches 25.0 %"),
        (0.33, [50, 50, 50, 50], ""),  # 0.25 and a tenth of the way to 1 are 0.325
        (0.82, [10, 90], "reaches 90.0 %"),
        (0.92, [10, 90], ""),
        (0.92, [100, 0], "reaches 100.0 %"),
    ],
)
def test_a_supernet_that_knew_next_to_nothing_is_remarked(run_at, reached, counts, said):
    run = read_run(run_at(epochs=20))
    run = searched(run, **steady(run, skip_share=0.2, entropy=0.5), architectures=(run.native,) * len(run.search.epochs))
    run = searched(run, valid={"accuracy": np.full(20, reached)})
    found = remarks(replace(run, data={**run.data, "class_counts": {"valid": counts}}))
    assert found == [] if not said else said in found[0] and len(found) == 1


def test_stable_since_is_where_the_last_architecture_came_to_stay(run_at):
    search = read_run(run_at(epochs=5, upto="search")).search
    assert isinstance(search, SearchCurves)
    moved = replace(search, epochs=(3, 4, 5, 6, 7), architectures=("a", "b", "a", "a", "a"))
    assert stable_since(contents(search=moved)) == 5


NONE = np.array([])
SEARCH = SearchCurves((1,), 1, NONE, {}, {}, NONE, NONE, {}, {}, (), {}, ("|f|",))
"""That there was a search is all that counts here."""


def known(found, values, *, images: int | None = 360, measure=ACCURACY, parameters=1):
    """A run of a search with known networks beside what it found."""
    networks = [
        replace(network(f"plain ResNet {n}", value, measure), parameters=parameters) for n, value in enumerate(values, 8)
    ]
    planned = tuple(PlannedNetwork(family="plain ResNet", size=n, epochs=3) for n, _ in enumerate(values, 8))
    beside = KnownNetworks(seconds=192.0, planned=planned, networks=tuple(networks), weights_sha256="")
    return replace(scored(found, [], images=images, measure=measure), known=beside, search=SEARCH)


def test_a_known_network_is_said_beside_the_found_one_with_the_time_that_it_had():
    (sentence,) = beside_known(known(0.95, [0.90]))
    assert sentence == (
        "A known network, plain ResNet 8, reaches 90.0 % accuracy in the time of search and training (3 min 12 s): 5.0 points "
        "below the found one, a difference of 18 test images."
    )


def test_where_a_known_network_is_as_good_the_search_is_not_said_to_help():
    assert "no sign that searching beat" not in " ".join(beside_known(known(0.95, [0.90, 0.94])))
    for values in ([0.95], [0.90, 0.96]):
        assert "no sign that searching beat" in beside_known(known(0.95, values))[-1]
    lower = known(0.5, [0.4], images=None, measure=LOSS)
    assert "0.100 nats below the found one" in beside_known(lower)[0]
    assert "no sign that searching beat" in beside_known(lower)[-1]
    assert "no sign that searching beat" not in beside_known(known(0.5, [0.6], images=None, measure=LOSS))[-1]


def test_a_known_network_that_cannot_be_as_small_says_so():
    assert "with more parameters (5)" in beside_known(known(0.95, [0.90], parameters=5))[0]


def test_without_known_networks_nothing_is_said():
    assert beside_known(scored(0.9, [])) == []
    assert beside_known(contents()) == []
