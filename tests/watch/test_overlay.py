"""What several runs show together: colours that tell them apart, the best of them, scores against costs."""

from pathlib import Path

import pytest
from made_runs import lines_of, write_json, write_lines

from mixop.core.measure import ACCURACY
from mixop.report import plots
from mixop.watch import costs
from mixop.watch.costs import against_cost
from mixop.watch.follow import Followed, Follower
from mixop.watch.overlay import COLOURS, best_of, key, method, overlays, reached, score_of


def followed(folder: Path) -> list[Followed]:
    follower = Follower(folder)
    follower.look()
    return list(follower.runs)


def named(run: Path, recipe: str, accuracy: float) -> None:
    """Gives a run the name of a recipe, and what its supernet reached."""
    write_json(run / "recipe.json", {"type": "Recipe", "name": recipe})
    lines = lines_of(run)
    lines[-1]["valid"]["accuracy"] = accuracy
    write_lines(run, lines)


@pytest.fixture
def runs(run_at, tmp_path: Path) -> list[Followed]:
    for number in range(9):
        named(run_at(f"r{number}", epochs=3, upto="search"), ("darts", "gdas", "drnas")[number % 3], 0.5 + 0.04 * number)
    return followed(tmp_path / "runs")


def test_a_few_runs_have_a_colour_each(runs: list[Followed]):
    colours = key(runs[:3], [])
    assert [name for name, _ in colours.entries] == ["r0", "r1", "r2"]
    assert len(set(colours.of.values())) == 3


def test_more_runs_have_the_colour_of_their_method(runs: list[Followed]):
    colours = key(runs, [])
    assert dict(colours.entries).keys() == {"darts", "gdas", "drnas"}
    for run in runs:
        assert colours.of[run.number] == dict(colours.entries)[method(run)]


def test_of_many_runs_of_one_method_the_best_and_those_at_work_stand_out(run_at, tmp_path: Path):
    count = len(COLOURS) + 1
    for number in range(count):
        named(run_at(f"t{number}", epochs=2, upto="search"), "darts", 0.9 if number == 4 else 0.5)
    runs = followed(tmp_path / "runs")
    colours = key(runs, [runs[1].number, runs[4].number])
    assert [colours.of[run.number] for run in runs] == ["rival", "second", "rival", "rival", "accent", *["rival"] * (count - 5)]
    assert [name for name, _ in colours.entries] == ["best so far: t4", "at work", "others"]


def test_the_best_is_judged_by_the_direction_of_its_measure(run_at, tmp_path: Path):
    for name, rmse in (("a", 3.0), ("b", 2.0), ("c", 4.0)):
        run = run_at(name, task="heights", epochs=2, upto="search")
        lines = lines_of(run)
        lines[-1]["valid"]["rmse"] = rmse
        write_lines(run, lines)
    best = best_of(followed(tmp_path / "runs"))
    assert best is not None
    assert best.name == "b"


def test_what_a_run_reached_is_its_score_or_else_its_supernets(run_at):
    scored, running = run_at("a", epochs=3, errors=9), run_at("b", epochs=3, upto="search")
    named(running, "darts", 0.625)
    (a,), (b,) = followed(scored), followed(running)
    assert a.contents is not None
    assert b.contents is not None
    assert reached(a.contents) == pytest.approx(351 / 360)
    assert reached(b.contents) == 0.625


def test_the_figures_have_a_curve_for_each_run(runs: list[Followed], monkeypatch: pytest.MonkeyPatch):
    drawn = []
    monkeypatch.setattr(
        plots, "lines", lambda curves, *, percent, description: drawn.append((curves, description)) or "<svg></svg>"
    )
    figures = overlays(runs, key(runs, []).of)
    assert [figure["title"] for figure in figures] == [
        "Accuracy of the supernet", "Loss (nats) of the supernet", "Entropy of the mixing weights", "Skip share",
    ]  # fmt: skip
    curves, description = drawn[0]
    wanted = [[line["valid"]["accuracy"] for line in lines_of(run.path)] for run in runs]
    assert [curve.values.tolist() for curve in curves] == wanted
    assert "r0 50.0 %; r1 54.0 %" in description


def test_scores_of_a_tuning_stand_against_its_second_objective(run_at, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "runs"
    trials = [{"score": 0.5, "cost": 10.0}, {"score": 0.9, "cost": 100.0}, {"score": 0.7, "cost": 200.0}, {"error": "No."}, {}]
    for number, trial in enumerate(trials):
        write_json(run_at(f"trial-{number}", epochs=2, upto="architecture") / "trial.json", trial)
    write_json(folder / "tuning.json", {"measure": ACCURACY.to_json(), "cost": "parameters"})
    spots = []
    monkeypatch.setattr(costs, "costs_and_scores", lambda given, *_: spots.extend(given) or "<svg></svg>")
    figure = against_cost(folder, followed(folder), None)
    scored = costs.scored_by(folder, None)
    assert scored == ACCURACY
    assert [score_of(run) for run in followed(folder)] == [0.5, 0.9, 0.7, None, None]
    assert getattr(best_of(followed(folder), scored), "name", "") == "trial-1"
    assert figure is not None
    assert str(figure["title"]).endswith("against parameters")
    assert [(spot.label, spot.cost, spot.score, spot.chosen) for spot in spots] == [
        ("trial-0", 10.0, 0.5, False),
        ("trial-1", 100.0, 0.9, True),
        ("trial-2", 200.0, 0.7, False),
    ]


def test_without_scores_the_supernets_stand_against_their_seconds(run_at, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    named(run_at("a", epochs=4, upto="search"), "darts", 0.75)
    spots = []
    monkeypatch.setattr(costs, "costs_and_scores", lambda given, *_: spots.extend(given) or "<svg></svg>")
    figure = against_cost(tmp_path / "runs", followed(tmp_path / "runs"), None)
    assert figure is not None
    assert figure["note"] == costs.SUPERNET
    assert [(spot.label, spot.kind, spot.score) for spot in spots] == [("a", "at work", 0.75)]
    assert spots[0].cost == pytest.approx(4 * 3.1)


def test_scores_of_retrainings_stand_against_search_and_training(run_at, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run_at("a", epochs=4, errors=36)
    spots = []
    monkeypatch.setattr(costs, "costs_and_scores", lambda given, *_: spots.extend(given) or "<svg></svg>")
    against_cost(tmp_path / "runs", followed(tmp_path / "runs"), None)
    assert [(spot.score, spot.cost) for spot in spots] == [(0.9, pytest.approx(4 * 3.1 + 31.4))]


def test_scores_on_other_examples_are_not_compared(run_at, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, part in (("a", "valid"), ("b", "test"), ("c", "valid")):
        run_at(name, epochs=4, scored_on=part)
    spots = []
    monkeypatch.setattr(costs, "costs_and_scores", lambda given, *_: spots.extend(given) or "<svg></svg>")
    figure = against_cost(tmp_path / "runs", followed(tmp_path / "runs"), None)
    assert figure is not None
    assert [spot.label for spot in spots] == ["a", "c"]
    assert "left out" in str(figure["note"])


def test_nothing_is_drawn_of_runs_that_have_just_begun(run_at, tmp_path: Path):
    run_at("a", upto="start")
    runs = followed(tmp_path / "runs")
    assert overlays(runs, {runs[0].number: "accent"}) == []
    assert against_cost(tmp_path / "runs", runs, None) is None
