"""Statistics of a comparison against numbers worked by hand, its table, and what its page holds."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixop.core.errors import RunError
from mixop.core.measure import ACCURACY, LOSS, Measure
from mixop.report.comparison_files import read_comparison
from mixop.report.comparison_page import render, write_comparison
from mixop.report.comparison_plots import mean_over_runs
from mixop.report.methods import Row, SeedRun, chosen, fitting
from mixop.report.palette import ABSENT
from mixop.runs.files import FORMAT

pytestmark = pytest.mark.usefixtures("drawn")

CANDIDATES = [
    {"architecture": "x", "seconds": 2.0, "value": 0.5, "score": 1 / 3, "hit": False, "distance": 2},
    {"architecture": "y", "seconds": 3.0, "value": 0.7, "score": 1.0, "hit": True, "distance": 0},
    {"architecture": "z", "seconds": 1.0, "value": 0.7, "score": 2 / 3, "hit": False, "distance": 1},
    {"architecture": "w", "seconds": 4.0, "value": 0.9, "score": 2 / 3, "hit": False, "distance": 1},
]


RATES = {"darts": {"type": "Linear", "start": 0.0208, "stop": 0.0}, "drnas": {"type": "Constant", "value": 3e-4}}


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def comparison(tmp_path: Path, run_at: Any) -> Path:
    """Three seeds of two recipes, one of which failed once, and random search."""
    out = tmp_path / "versus"
    identity = {
        "recipes": {"quick": {"name": "quick"}, "slow": {"name": "slow"}},
        "space": {"space": {"type": "Toy"}},
        "data": {"name": "toy"},
        "seeds": [0, 1, 2],
        "evaluator": {"type": "Optimum", "protocol": {"name": "short", "epochs": 10}},
        "score": "share of decisions that are right",
        "measure": Measure("decisions", "higher", style="percent").to_json(),
        "trial_measure": ACCURACY.to_json(),
        "note": "A <note>.",
    }
    write(out / "comparison.json", identity)
    write(out / "run.json", {"format": FORMAT})
    for seed, (right, seconds) in enumerate(((3, 1.0), (1, 2.0), (2, 3.0))):
        trial = {"architecture": f"q{right}", "search_seconds": seconds, "score": right / 3, "hit": right == 3}
        write(out / f"quick-{seed}" / "trial.json", {"recipe": "quick", "seed": seed, "distance": 3 - right, **trial})
    for seed in (0, 1):
        trial = {"architecture": "best", "search_seconds": 7.0, "score": 1.0, "hit": True, "distance": 0}
        write(out / f"slow-{seed}" / "trial.json", {"recipe": "slow", "seed": seed, **trial})
    write(out / "slow-2" / "trial.json", {"recipe": "slow", "seed": 2, "error": "The loss became nan."})
    run_at("made", epochs=4, upto="architecture").rename(tmp_path / "run")
    for name in ("run.json", "space.json", "recipe.json", "data.json", "environment.json", "metrics.jsonl"):
        (out / "quick-0" / name).write_bytes((tmp_path / "run" / name).read_bytes())
    budgets = {"quick": 2.0, "slow": 7.0, "median": 4.5}
    for seed in range(3):
        write(out / f"random-{seed}" / "trial.json", {"seed": seed, "budgets": budgets, "candidates": CANDIDATES})
    return out


def test_statistics_are_those_worked_by_hand(comparison: Path):
    quick = read_comparison(comparison).row("quick")
    assert quick.mean == pytest.approx(2 / 3)
    assert quick.deviation == pytest.approx(1 / 3)  # of 1, 1/3, 2/3: the root of (1/9 + 1/9) / 2
    assert quick.best == 1.0
    assert quick.seconds == 2.0
    assert (quick.hits, quick.n, quick.failed) == (1, 3, 0)
    assert quick.rate == pytest.approx(1 / 3)
    assert quick.found == {"q3": 1, "q1": 1, "q2": 1}


def test_a_failed_run_has_not_found_the_optimum(comparison: Path):
    slow = read_comparison(comparison).row("slow")
    assert (slow.n, slow.hits, slow.failed) == (2, 2, 1)
    assert slow.rate == pytest.approx(2 / 3)
    assert slow.deviation == 0.0


def test_one_run_has_no_deviation():
    row = Row("one", ACCURACY, (SeedRun(seed=0, path=Path("one-0"), score=0.5),))
    assert (row.mean, row.deviation, row.hits, row.rate) == (0.5, None, None, None)
    none = Row("none", ACCURACY, ())
    assert (none.mean, none.deviation, none.best, none.seconds) == (None, None, None, None)


@pytest.mark.parametrize(("budget", "count", "index"), [(0.0, 1, 0), (4.9, 1, 0), (5.0, 2, 1), (6.0, 3, 1), (100.0, 4, 3)])
def test_random_search_takes_the_best_of_those_that_fit(budget: float, count: int, index: int):
    assert fitting(CANDIDATES, budget) == count
    assert chosen(CANDIDATES, budget, ACCURACY) == index  # of two with the same accuracy the first


def test_random_search_stands_beside_each_recipe_with_its_own_time(comparison: Path):
    read = read_comparison(comparison)
    beside = {row.name: row.rival.rate for row in read.rows if row.rival is not None}
    assert beside == {"quick": 0.0, "slow": 1.0}  # in 2 s the first, in 7 s the second too
    random = read.row("random")
    assert (random.rate, random.trained, random.seconds) == (0.0, 1, 2.0)  # 4.5 s
    assert [row.name for row in read.rows] == ["slow", "quick", "random"]


def test_the_table_says_what_it_means(comparison: Path):
    text = read_comparison(comparison).table()
    lines = text.splitlines()
    assert " ".join(lines[0].split()) == "method n lr found 95 % interval mean +- sd best seconds random, same time failed"
    assert " ".join(lines[2].split()) == f"slow 2 {ABSENT} 2 of 3 = 67 % 21 - 94 % 100.0 +- 0.0 100.0 7.0 100 % 1"
    assert "3 seeds for each method" in text
    assert "A <note>." in text
    assert "slow: 1 of 3 runs failed, seed 2: The loss became nan." in text
    assert "3 runs of a method can show large differences only" in text


def test_print_shows_the_table_and_a_prompt_one_line(comparison: Path):
    read = read_comparison(comparison)
    assert str(read) == read.table()
    assert repr(read) == f"<comparison of 3 methods in {str(comparison)!r}>"


def test_an_unfinished_comparison_says_so(comparison: Path):
    for seed in range(3):
        (comparison / f"random-{seed}" / "trial.json").unlink()
    read = read_comparison(comparison)
    assert (read.done, read.planned) == (6, 9)
    assert "Not finished: 6 of 9 runs are done." in read.table()
    assert "6 of 9 runs are done" in render(read)


def test_the_page_is_complete_in_itself(comparison: Path):
    path = write_comparison(comparison)
    page = path.read_text()
    assert path == comparison / "comparison.html"
    assert not re.search(r"(?:src|href)=\"https?:", page)
    assert "A &lt;note&gt;." in page
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(set(ids)) == len(ids)
    for svg in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        ET.fromstring(svg.replace("xlink:href", "href"))
    assert page.count("<svg") == 3  # scores and times of all runs, and the one recipe whose search left metrics
    assert page.count('<tr class="rival">') == 1


def test_means_over_runs_skip_what_is_unknown():
    values = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]])
    np.testing.assert_array_equal(mean_over_runs(values), [2.0, 5.0, np.nan])


def test_what_is_no_comparison_is_refused(comparison: Path, tmp_path: Path):
    with pytest.raises(RunError, match="not a comparison"):
        read_comparison(tmp_path)
    (comparison / "quick-1" / "trial.json").write_text("{")
    with pytest.raises(RunError, match="torn"):
        read_comparison(comparison)
    (comparison / "quick-1" / "trial.json").write_text('{"score": "much", "search_seconds": 1.0}')
    with pytest.raises(RunError, match="damaged"):
        read_comparison(comparison)


@pytest.fixture
def tabular(tmp_path: Path) -> Path:
    """Three seeds of two recipes that were looked up, with curves and a paper's number, and random search."""
    out = tmp_path / "looked-up"
    identity = {
        "recipes": {name: {"name": name, "architecture_optimiser": {"lr": lr}} for name, lr in RATES.items()},
        "space": {"space": {"type": "NasBench201"}},
        "data": {"name": "cifar10"},
        "seeds": [0, 1, 2],
        "evaluator": {"type": "Tabular", "table": "a.table", "dataset": "cifar10", "epochs": 200, "test": True},
        "score": "test accuracy",
        "measure": ACCURACY.to_json(),
        "trial_measure": ACCURACY.to_json(),
        "note": "",
        "paper": {
            "reported": {"darts": {"mean": 54.3, "deviation": 0.0, "source": "A paper"}},
            "differences": "8 channels (16)",
        },
    }
    write(out / "comparison.json", identity)
    write(out / "run.json", {"format": FORMAT})
    for name, scores, skips in (("darts", (0.54, 0.70, 0.88), (6, 5, 3)), ("drnas", (0.90, 0.92, 0.94), (2, 1, 0))):
        for seed, (score, skip) in enumerate(zip(scores, skips, strict=True)):
            curve = [[1, 5.0, 0.9], [2, 10.0, score]]
            trial = {"architecture": f"{name}{seed}", "search_seconds": 10.0, "score": score, "skips": skip, "curve": curve}
            write(out / f"{name}-{seed}" / "trial.json", {"recipe": name, "seed": seed, **trial})
    candidates = [{"architecture": "r", "seconds": 100.0, "value": 0.9, "score": 0.91, "skips": 1}]
    for seed in range(3):
        budgets = {"darts": 10.0, "drnas": 10.0, "median": 10.0}
        write(out / f"random-{seed}" / "trial.json", {"seed": seed, "budgets": budgets, "candidates": candidates})
    return out


def test_what_a_table_says_stands_beside_the_paper(tabular: Path):
    result = read_comparison(tabular)
    head, cells = result.columns(), {row[0]: row for row in result.cells()}
    assert head == ["method", "n", "lr", "mean +- sd", "paper", "skips", "seconds", "random, same time"]
    assert [cells[name][2] for name in ("darts", "drnas", "random")] == ["0.021", "0.0003", ABSENT]
    assert [row["learning_rate"] for row in result.summary() if row["method"] == "drnas"] == [3e-4]
    assert cells["darts"][4:6] == ["54.3 +-  0.0", "4.7"]
    assert cells["drnas"][4] == ABSENT
    notes = "\n".join(result.notes())
    assert "“paper” is what is reported (darts: A paper)." in notes
    assert "in brackets what was published: 8 channels (16)." in notes
    assert max(map(len, result.table().splitlines()[:6])) <= 80


def test_many_seconds_are_whole_and_few_are_not(tabular: Path):
    identity = json.loads((tabular / "comparison.json").read_text())
    write(tabular / "comparison.json", {**identity, "budget_seconds": 12000.0})
    candidates = [{"architecture": "r", "seconds": 11925.25, "value": 0.9, "score": 0.91}]
    for seed in range(3):
        write(tabular / f"random-{seed}" / "trial.json", {"budgets": {"median": 12000.0}, "candidates": candidates})
    result = read_comparison(tabular)
    at = result.columns().index("seconds")
    assert {row[0]: row[at] for row in result.cells()} == {"darts": "10.0", "drnas": "10.0", "random": "11,925"}
    assert "the time that was given, 12,000 s: as many as fit" in "\n".join(result.notes())


def test_methods_are_paired_by_their_seeds(tabular: Path):
    result = read_comparison(tabular)
    pair = result.paired("drnas", "darts")
    assert pair is not None
    assert pair.difference == pytest.approx((0.36 + 0.22 + 0.06) / 3)
    assert (pair.n, pair.p) == (3, 2 / 8)
    back = result.paired("darts", "drnas")
    assert back is not None
    assert back.difference == -pair.difference
    notes = "\n".join(result.notes())
    assert "drnas +1.0 (p 0.75)" in notes  # -1, 1, 3: six of eight patterns of signs are as far from 0
    assert "3 pairs can show no p below 0.25" in notes
    (tabular / "drnas-1" / "trial.json").write_text(json.dumps({"recipe": "drnas", "seed": 1, "error": "It diverged."}))
    short = read_comparison(tabular).paired("drnas", "darts")
    assert short is not None
    assert (short.n, short.difference) == (2, pytest.approx((0.36 + 0.06) / 2))


def test_the_page_shows_what_searches_would_have_given_earlier(tabular: Path):
    page = render(read_comparison(tabular))
    for words in (
        "Had they stopped earlier",
        "drnas: 90.0 % after epoch 1, 92.0 % at the end",
        "Method against method",
        "+21.3",
    ):
        assert words in page, words


def test_every_run_is_a_line_of_data(tabular: Path):
    lines = read_comparison(tabular).lines()
    assert len(lines) == 9
    first = next(line for line in lines if line["method"] == "darts" and line["seed"] == 1)
    assert (first["score"], first["skips"], first["path"]) == (0.70, 5, "darts-1")
    assert [list(point) for point in first["curve"]] == [[1, 5.0, 0.9], [2, 10.0, 0.7]]
    assert json.loads(json.dumps(lines))


def test_random_search_takes_the_lowest_loss_and_never_a_training_that_diverged():
    losses = [{"seconds": 1.0, "value": value} for value in (None, 0.9, 0.4, 0.7, 0.4, None)]
    assert [chosen(losses, budget, LOSS) for budget in (1.0, 2.0, 3.0, 4.0, 6.0)] == [0, 1, 2, 2, 2]
    assert chosen(losses, 6.0, ACCURACY) == 1


RMSE = Measure("rmse", "lower", "mm")


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    """Three seeds of two recipes on a regression, with curves, and random search: the low scores are the good ones."""
    out = tmp_path / "regression"
    identity = {
        "recipes": {"near": {"name": "near"}, "far": {"name": "far"}},
        "space": {"space": {"type": "CellSpace"}},
        "data": {"name": "strain"},
        "seeds": [0, 1, 2],
        "evaluator": {"type": "Retrain", "protocol": {"name": "short", "epochs": 10}},
        "score": "RMSE on the validation split after a training from scratch",
        "measure": RMSE.to_json(),
        "trial_measure": RMSE.to_json(),
        "note": "",
    }
    write(out / "comparison.json", identity)
    write(out / "run.json", {"format": FORMAT})
    for name, scores in (("far", (2.5, 3.0, 3.5)), ("near", (1.0, 1.5, 2.0))):
        for seed, score in enumerate(scores):
            trial = {
                "architecture": f"{name}{seed}",
                "search_seconds": 10.0,
                "score": score,
                "curve": [[1, 5.0, 4.0], [2, 9.0, score]],
            }
            write(out / f"{name}-{seed}" / "trial.json", {"recipe": name, "seed": seed, **trial})
    for seed in range(3):
        candidates = [
            {"architecture": "a", "seconds": 4.0, "value": 2.2, "score": 2.2},
            {"architecture": "b", "seconds": 4.0, "value": 1.75 + 0.25 * seed, "score": 1.75 + 0.25 * seed},
            {"architecture": "c", "seconds": 4.0, "value": 9.0, "score": 9.0},
        ]
        budgets = {"near": 10.0, "far": 10.0, "median": 10.0}
        write(out / f"random-{seed}" / "trial.json", {"seed": seed, "budgets": budgets, "candidates": candidates})
    return out


def test_the_lowest_score_comes_first_where_lower_is_better(lower: Path):
    result = read_comparison(lower)
    assert result.measure == RMSE
    assert [row.name for row in result.rows] == ["near", "random", "far"]
    assert result.row("random").scores == [1.75, 2.0, 2.2]  # the lowest of the two that fit
    assert [row.best for row in result.rows] == [1.0, 1.75, 2.5]
    cells = {row[0]: row for row in result.cells()}
    assert cells["near"][3:5] == ["1.50 +- 0.50", "1.00"]
    assert [row["method"] for row in result.summary()] == ["near", "random", "far"]


def test_words_and_figures_say_the_unit_and_the_direction(lower: Path):
    result = read_comparison(lower)
    notes = "\n".join(result.notes())
    assert "Score, in mm: RMSE on the validation split after a training from scratch (lower is better); sd is" in notes
    assert "(exact test of signs; below 0 is better): near -0.48 (p 0.25), far +1.02 (p 0.25)." in notes
    page = render(result)
    for words in (
        "near comes first of 3: 1.50 ± 0.50 mm in 3 runs",
        "RMSE (mm), lower is better",
        "near: 4.00 mm after epoch 1, 1.50 mm at the end",
        "in mm of the method in the row less the one in the column; below 0 the method in the row is better",
        "A curve that rises warns of collapse.",
        "3.50 mm",
    ):
        assert words in page, words
    assert "%" not in re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", page, flags=re.DOTALL)


def test_the_better_method_of_a_pair_is_the_one_below_where_lower_is_better(lower: Path):
    result = read_comparison(lower)
    pair, back = result.paired("near", "far"), result.paired("far", "near")
    assert pair is not None
    assert back is not None
    assert (pair.difference, pair.better, pair.p) == (-1.5, True, 2 / 8)
    assert (back.difference, back.better) == (1.5, False)
    against = {row["method"]: row["against_random"] for row in result.summary()}
    assert (against["near"]["better"], against["far"]["better"], against["random"]) == (True, False, None)


def test_a_search_of_which_every_training_diverged_has_no_score(lower: Path):
    candidates = [{"architecture": "a", "seconds": 4.0, "value": None, "score": None}]
    write(lower / "random-1" / "trial.json", {"budgets": {"near": 1.0, "far": 1.0, "median": 1.0}, "candidates": candidates})
    result = read_comparison(lower)
    assert (result.row("random").n, result.row("random").failed) == (2, 1)
    assert "random: 1 of 3 runs failed, seed 1: Every training diverged." in result.table()


def test_a_comparison_of_another_format_is_refused(lower: Path):
    (lower / "run.json").unlink()
    with pytest.raises(RunError, match=r"mixop 0\.1"):
        read_comparison(lower)
