"""What is measured of searches: against the table and the records themselves; and what the variants differ in."""

import json
from dataclasses import replace
from statistics import stdev

import numpy as np
import pytest

from mixop import api
from mixop.cli import main
from mixop.experiments.base import Request
from mixop.experiments.bench import EPOCHS, bench
from mixop.experiments.catalogue import CATALOGUE
from mixop.experiments.dirichlet import exploring
from mixop.experiments.optimisers import ARCHITECTURE, MOMENTA, WEIGHTS, momenta, pairs
from mixop.experiments.quantities import (
    ACCURACIES,
    BEST_DRAWN,
    DISTINCT,
    ENTROPY,
    FALL,
    GAP,
    LOSSES,
    PHI,
    QUANTITIES,
    RANGE,
    RISE,
    SPREAD,
    TABLE,
    TAU,
    TRACE,
)
from mixop.monitors.descent import Descent
from mixop.monitors.exploration import drawn_architectures
from mixop.plan.scaling import travel
from mixop.recipes import RECIPES
from mixop.relax.dirichlet import concentration
from mixop.report.comparison_files import read_comparison
from mixop.report.methods import SeedRun
from mixop.runs import checkpoint
from mixop.runs.directory import RunDirectory


def test_curves_are_those_of_the_records_and_of_the_table(tmp_path):
    request = Request(scale="tiny", out=tmp_path / "out", seeds=[3, 5], jobs=1)
    found = CATALOGUE["rounding"].run(request)
    on = bench(request)
    for variant, values in found.panels[TABLE].series.items():
        for row, seed in zip(values, (3, 5), strict=True):
            records = RunDirectory(tmp_path / "out" / f"{variant}-{seed}").searched()
            by_hand = [on.evaluator.look_up(on.space.from_native(record.architecture)) for record in records]
            np.testing.assert_allclose(row, by_hand)
        records = RunDirectory(tmp_path / "out" / f"{variant}-3").searched()
        np.testing.assert_allclose(found.panels[ENTROPY].series[variant][0], [record.entropy for record in records])
        np.testing.assert_allclose(found.panels[GAP].series[variant][0], [record.columns["gap"] for record in records])


@pytest.mark.parametrize("method", ["darts", "darts_minus", "sdarts_rs"])
def test_pairs_differ_in_their_optimisers_alone(method):
    made = pairs(method)(4)
    assert len(made) == 4
    for of_weights, one in WEIGHTS.items():
        for of_architecture, other in ARCHITECTURE.items():
            recipe = made[f"{of_weights}-{of_architecture}"]
            assert (recipe.weight_optimiser, recipe.architecture_optimiser) == (one, other)
            assert recipe == replace(made["sgd-adam"], weight_optimiser=one, architecture_optimiser=other)


def test_momenta_differ_in_the_momentum_alone():
    made = momenta("darts")(4)
    assert [recipe.weight_optimiser.momentum for recipe in made.values()] == list(MOMENTA)
    assert len({replace(recipe, weight_optimiser=WEIGHTS["sgd"]) for recipe in made.values()}) == 1


def test_short_searches_move_as_far_as_the_full_ones_as_far_as_rates_allow(tmp_path):
    """Each variant beside its own full search, not beside the published recipe of its name."""
    on = bench(Request(scale="tiny", out=tmp_path))
    full, short = (pairs("darts")(epochs) for epochs in (EPOCHS, on.epochs))
    for name, recipe in short.items():
        before, after = recipe.architecture_optimiser.lr(0.0), on.paced(recipe, full[name]).architecture_optimiser.lr(0.0)
        batches = -(-len(on.data.train) // 64)
        wanted = travel(full[name], -(-25_000 // 64)) / travel(recipe, batches)
        assert after == pytest.approx(min(before * min(wanted, 100.0), 0.1))


def test_larger_scales_need_data(tmp_path):
    with pytest.raises(Exception, match="small needs --data FOLDER"):
        bench(Request(scale="small", out=tmp_path))


def test_what_analyse_left_with_other_settings_is_measured_again(tmp_path):
    """Otherwise a ranking of six architectures would stand for one of a hundred."""
    request = Request(scale="tiny", out=tmp_path / "out", seeds=[0], jobs=1)
    on, experiment = bench(request), CATALOGUE["rounding"]
    experiment.run(request)
    (run,) = read_comparison(tmp_path / "out").row("darts").runs
    before = {title: QUANTITIES[title].of(run, on) for title in (TAU, TRACE)}
    files = {name: (run.path / name).read_text() for name in ("ranking.json", "flatness.json")}
    table = ("--table", "nasbench201-digits")
    assert main(["analyse", "rank", str(run.path), *table, "--architectures", "6", "--quiet"]) == 0
    assert main(["analyse", "flatness", str(run.path), "--samples", "2"]) == 0
    assert all((run.path / name).read_text() != text for name, text in files.items())
    assert {title: QUANTITIES[title].of(run, on) for title in before} == before
    assert {name: (run.path / name).read_text() for name in files} == files
    (run.path / "ranking.json").touch()
    at = (run.path / "ranking.json").stat().st_mtime_ns
    QUANTITIES[TAU].of(run, on)
    assert (run.path / "ranking.json").stat().st_mtime_ns == at, "what fits is read"


def test_ranges_are_those_of_the_architectures_that_were_drawn(tmp_path):
    """Drawn again from the concentrations of the last epoch, which the checkpoint has: a hundred like those that are kept."""
    experiment = CATALOGUE["range-drnas"]
    request = Request(scale="tiny", out=tmp_path / "out", seeds=[0], jobs=1)
    found = replace(experiment, variants=lambda epochs: {"drnas": exploring(epochs)["drnas"]}).run(request)
    on = bench(request)
    saved = checkpoint.load(RunDirectory(tmp_path / "out" / "drnas-0").state)["search"]
    kept = drawn_architectures(saved["memory"])
    for epoch, natives in kept.items():
        scores = [on.evaluator.look_up(on.space.from_native(native)) for native in natives]
        assert len(scores) == 100
        got = {title: found.panels[title].series["drnas"][0, epoch] for title in (RANGE, SPREAD, BEST_DRAWN, DISTINCT)}
        assert got == {
            RANGE: pytest.approx(max(scores) - min(scores)),
            SPREAD: pytest.approx(stdev(scores)),
            BEST_DRAWN: max(scores),
            DISTINCT: len(set(natives)) / 100,
        }
    beta, (group,) = concentration(saved["params"]["cell"]).numpy(), on.space.groups
    last = [on.space.from_native(native).of("cell") for native in kept[on.epochs - 1]]
    rng = np.random.default_rng(0)
    for decision, row in enumerate(beta):
        best = rng.dirichlet(row, 20_000).argmax(1)
        for number, option in enumerate(group.decisions[decision].options):
            wanted, got = (best == number).mean(), sum(choices[decision].option == option for choices in last) / 100
            assert abs(got - wanted) <= 5 * (wanted * (1 - wanted) / 100) ** 0.5  # five standard errors


def test_landscapes_are_kept_and_drawn_as_their_mean_over_runs(tmp_path):
    experiment = CATALOGUE["landscape-sdarts"]
    request = Request(scale="tiny", out=tmp_path / "out", seeds=[0, 1], jobs=1)
    one = replace(experiment, variants=lambda epochs: {"darts": RECIPES["darts"](epochs=epochs)}, quantities=(RISE, FALL))
    found = one.run(request)
    scans = [json.loads((tmp_path / "out" / f"darts-{seed}" / "landscape.json").read_text()) for seed in (0, 1)]
    losses, scores = (np.array([one[name] for one in scans]) for name in ("losses", "scores"))
    rise, fall = losses - losses[:, 2:3, 2:3], scores[:, 2:3, 2:3] - scores
    assert rise.shape == (2, 5, 5)
    np.testing.assert_allclose(found.surfaces[LOSSES].series["darts"], rise.mean(0))
    np.testing.assert_allclose(found.surfaces[ACCURACIES].series["darts"], fall.mean(0), atol=1e-12)
    np.testing.assert_allclose(found.panels[RISE].series["darts"][:, -1], rise.mean((1, 2)))
    np.testing.assert_allclose(found.panels[FALL].series["darts"][:, -1], fall.mean((1, 2)), atol=1e-12)
    assert found.surfaces[LOSSES].axis == (-1.0, -0.5, 0.0, 0.5, 1.0)


def test_phi_of_the_records_is_that_of_the_monitor(tmp_path):
    """DARTS-, whose added skip connection fades; the monitor has the mixing weights as they were."""
    on = bench(Request(scale="tiny", out=tmp_path))
    recipe = replace(RECIPES["darts_minus"](epochs=2), batch_size=64, monitors=(Descent(),))
    api.search(recipe, on.space, on.data, tmp_path / "run")
    records = RunDirectory(tmp_path / "run").searched()
    found = QUANTITIES[PHI].of(SeedRun(seed=0, path=tmp_path / "run"), on)
    assert found == pytest.approx({record.epoch: record.columns["phi"] for record in records}, rel=1e-6)
    assert found[1] > 2 * found[2]  # at even weights by 1.78 + 3.16 in place of 0.69 + 0.48 behind skips
    rates = [record.columns["lambda"] / record.columns["phi"] for record in records]
    assert rates == pytest.approx([record.learning_rate for record in records])
