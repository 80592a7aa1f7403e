"""How far a run is, against what was written by hand."""

from pathlib import Path

import pytest
from made_runs import lines_of, write_json, write_lines

from mixop.watch.follow import Followed, Follower
from mixop.watch.standing import BEGINNING, PATIENCE, SILENCE, pace, standing


def followed(run: Path) -> Followed:
    follower = Follower(run)
    follower.look()
    return follower.runs[0]


def at(run: Followed, seconds: float) -> float:
    """A moment so many seconds after the run was heard of."""
    assert run.changed is not None
    return run.changed + seconds


def running(run_at, upto: int = 20) -> Followed:
    run = run_at(epochs=50, upto="search")
    write_lines(run, lines_of(run)[:upto])
    return followed(run)


def test_the_time_left_is_the_epochs_left_at_the_latest_pace(run_at):
    run = running(run_at)  # 20 of 50 epochs of 3.1 s
    stand = standing(run, at(run, 0.0))
    assert (stand.state, stand.done, stand.total) == ("running", 20, 50)
    assert stand.left == pytest.approx(30 * 3.1)
    assert standing(run, at(run, 2.0)).left == pytest.approx(30 * 3.1 - 2)
    assert stand.words == "Running: 20 of 50 epochs of the search, about 1 min 33 s left."


def test_the_pace_is_that_of_the_latest_epochs(run_at):
    """A stage of slower epochs counts once it has more than half of the latest ones; a long pause is one among many."""
    run = run_at(epochs=40, upto="search")
    lines = lines_of(run)
    for line in lines:
        epoch = line["epoch"]
        line["seconds"] = 1.0 * min(epoch, 30) + 7.0 * max(epoch - 30, 0) + (5000.0 if epoch > 35 else 0.0)
    write_lines(run, lines)
    records = followed(run).records
    assert pace(records[:30]) == 1.0
    assert pace(records) == 7.0
    assert pace(records[:1]) == 1.0
    assert pace([]) is None


def test_a_run_that_says_nothing_for_long_is_not_called_running(run_at):
    run = running(run_at)
    patience = max(SILENCE, PATIENCE * 3.1)
    assert standing(run, at(run, patience - 1)).state == "running"
    stand = standing(run, at(run, 2 * patience))
    assert (stand.state, stand.left) == ("silent", None)
    assert stand.words == "Not finished, and nothing new for 2 min 0 s: 20 of 50 epochs of the search."


def test_an_epoch_that_takes_long_is_waited_for(run_at):
    run = run_at(epochs=50, upto="search")
    write_lines(run, [line | {"seconds": 1000.0 * line["epoch"]} for line in lines_of(run)[:5]])
    slow = followed(run)
    assert standing(slow, at(slow, 3000)).state == "running"
    assert standing(slow, at(slow, 5000)).state == "silent"


@pytest.mark.parametrize(
    ("trial", "state", "words"),
    [
        ({"error": "The loss is not finite."}, "failed", "Failed: 20 of 50 epochs of the search. The loss is not finite."),
        ({"pruned": 20}, "pruned", "Pruned: 20 of 50 epochs of the search. It was behind the other trials."),
    ],
)
def test_a_trial_ends_as_its_file_says(run_at, trial: dict, state: str, words: str):
    run = run_at(epochs=50, upto="search")
    write_lines(run, lines_of(run)[:20])
    write_json(run / "trial.json", trial)
    stand = standing(followed(run))
    assert (stand.state, stand.words) == (state, words)


def test_a_finished_search_is_finished_however_long_ago(run_at):
    run = followed(run_at(epochs=4, upto="architecture"))
    stand = standing(run, at(run, 1e6))
    assert (stand.state, stand.left) == ("finished", None)
    assert stand.words == "Finished: 4 of 4 epochs of the search."


def test_a_retraining_counts_the_epochs_of_all_its_networks(run_at):
    run = run_at(epochs=4)
    (run / "score.json").unlink()
    plan = {"networks": [["found", "a"], *([f"random {n}", "b"] for n in (1, 2, 3, 4))]}
    write_json(run / "retrain.json", plan)
    write_lines(run, lines_of(run)[: 4 + 20 + 5])  # the search, the found network, and 5 epochs of 20 of the next one
    stand = standing(followed(run), at(followed(run), 0.0))
    assert (stand.state, stand.done, stand.total) == ("running", 25, 100)
    assert stand.left == pytest.approx(75 * 1.5)
    assert stand.words.startswith("Running: 25 of 100 epochs of the training of 5 networks, now random 1, about ")


def test_a_run_that_has_just_begun_knows_nothing_of_its_time(run_at):
    run = followed(run_at(upto="start"))
    stand = standing(run)
    assert (stand.state, stand.total, stand.left) == ("running", 0, None)
    assert stand.words == "Running: no epoch is finished yet."
    assert standing(run, at(run, BEGINNING - 1)).state == "running"
    assert standing(run, at(run, BEGINNING + 1)).state == "silent"


def test_a_file_that_is_not_read_to_its_end_claims_nothing_of_the_run(run_at):
    follower = Follower(run_at(epochs=30, upto="search"))
    follower.look(most=8000)
    (run,) = follower.runs
    stand = standing(run, at(run, 1e6))
    assert (stand.state, stand.left) == ("reading", None)
    assert stand.words.startswith("Reading what is there: ")
