"""Scores against costs: what is paid, by which runs, and what cannot be compared stays out."""

from pathlib import Path

import pytest
from made_runs import lines_of, write_json, write_lines

from mixop.core.measure import ACCURACY
from mixop.watch import costs
from mixop.watch.costs import against_cost
from mixop.watch.follow import Followed, Follower


def followed(folder: Path) -> list[Followed]:
    follower = Follower(folder)
    follower.look()
    return list(follower.runs)


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
    assert figure is not None
    assert str(figure["title"]).endswith("against parameters")
    assert [(spot.label, spot.cost, spot.score, spot.chosen) for spot in spots] == [
        ("trial-0", 10.0, 0.5, False),
        ("trial-1", 100.0, 0.9, True),
        ("trial-2", 200.0, 0.7, False),
    ]


def test_without_scores_the_supernets_stand_against_their_seconds(run_at, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = run_at("a", epochs=4, upto="search")
    lines = lines_of(run)
    lines[-1]["valid"]["accuracy"] = 0.75
    write_lines(run, lines)
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
    assert against_cost(tmp_path / "runs", followed(tmp_path / "runs"), None) is None
