"""What several runs show together: colours that tell them apart, the best of them, a curve for each."""

from pathlib import Path

import pytest
from made_runs import lines_of, write_json, write_lines

from mixop.core.measure import ACCURACY
from mixop.report import plots
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
        "Accuracy of the supernet", "Loss of the supernet (nats)", "Entropy of the mixing weights (nats)", "Skip share",
    ]  # fmt: skip
    curves, description = drawn[0]
    wanted = [[line["valid"]["accuracy"] for line in lines_of(run.path)] for run in runs]
    assert [curve.values.tolist() for curve in curves] == wanted
    assert "r0 50.0 %; r1 54.0 %" in description


def test_the_best_of_a_tuning_has_the_best_score(run_at, tmp_path: Path):
    """Not the supernet that looks best: the trials were told apart by their scores."""
    for number, trial in enumerate(({"score": 0.5}, {"score": 0.9}, {"score": 0.7}, {"error": "No."}, {"score": True})):
        run = run_at(f"trial-{number}", epochs=2, upto="architecture")
        named(run, "darts", 0.99 if number == 0 else 0.5)
        write_json(run / "trial.json", trial)
    runs = followed(tmp_path / "runs")
    assert [score_of(run) for run in runs] == [0.5, 0.9, 0.7, None, None]
    assert getattr(best_of(runs, ACCURACY), "name", "") == "trial-1"
    assert getattr(best_of(runs), "name", "") == "trial-0"


def test_nothing_is_drawn_of_runs_that_have_just_begun(run_at, tmp_path: Path):
    run_at("a", upto="start")
    (run,) = followed(tmp_path / "runs")
    assert overlays([run], {run.number: "accent"}) == []
