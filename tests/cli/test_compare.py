"""``mixop compare``: who takes part, its screens and its progress view; and ``mixop search --watch``."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from mixop.bilevel import SingleLevel
from mixop.cli import main
from mixop.cli.comparing import Comparing, share_of
from mixop.cli.contestants import contestants, evaluator, searchers, source_for
from mixop.cli.options import CompareOptions
from mixop.comparison.evaluators import Retrain, Supernet
from mixop.core.errors import RecipeError
from mixop.core.measure import ACCURACY, Measure
from mixop.data.toy import toy_set
from mixop.plan.scaling import scaled
from mixop.recipes import RECIPES
from mixop.searchers import Bohb, Evolution
from mixop.spaces.toy import Toy

SMALL = ("--data", "toy", "--data.n", "160", "--epochs", "2", "--batch-size", "16")


def test_compare_shows_and_keeps_a_table_and_is_not_done_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "c"
    words = ["compare", "--recipes", "darts,gaea", "--seeds", "2", "--jobs", "2", *SMALL, "--out", str(out)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert lines[0] == f"Comparing 2 recipes and random search on toy, 2 seeds each, into {out}."
    assert [line.split()[0] for line in lines[1:7]] == [f"{k}/6" for k in range(1, 7)]
    assert {line.split()[0] for line in lines[9:12]} == {"darts", "gaea", "random"}
    assert (out / "table.txt").read_text().splitlines()[0] in lines
    assert "rates are scaled" in shown
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["method"]: row["n"] for row in told["methods"]} == {"darts": 2, "gaea": 2, "random": 2}
    assert main(["report", str(out)]) == 0
    assert "comparison.html" in capsys.readouterr().out
    assert main(["resume", str(out)]) == 2
    assert "mixop compare" in capsys.readouterr().err
    assert main(["report", str(out / "darts-0")]) == 0


def test_random_search_may_stand_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """As it does where architectures are drawn as a whole, and no recipe fits."""
    small = [
        "--space.nodes",
        "5",
        "--space.channels",
        "2",
        "--data",
        "digits",
        "--data.split.valid",
        "0.1",
        "--data.split.test",
        "0.85",
        "--seeds",
        "1",
        "--jobs",
        "1",
    ]
    words = ["compare", "--space", "randwire", *small, "--budget", "0.01", "--out", str(tmp_path / "c")]
    assert main([*words, "--recipes", "random", "--known", "0"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Comparing random search on digits, 1 seed each")
    assert main([*words, "--recipes", "darts"]) == 2
    assert "search it with random search, or another space" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--recipes", "dartz"), "did you mean 'darts'"),
        (("--recipes", "darts,darts"), "twice"),
        (("--recipes", "random"), "or give it --budget SECONDS to have it alone"),
        (("--recipes", "evolution"), "give --budget"),
        (("--recipes", "evolution,evolution", "--budget", "1"), "twice"),
        (("--recipes", "evolution", "--budget", "0"), "budget_seconds must be"),
        (("--seeds", "0"), "--seeds"),
        (("--first-seed", "-1"), "--first-seed must be at least 0"),
        (("--epochs", "0"), "--epochs"),
        (("--evaluate", "supernet", "--test"), "--evaluate retrain"),
        (("--space", "nasbench201", "--space.channels", "2", "--evaluate", "optimum"), "not known"),
    ],
)
def test_bad_words_are_told_in_a_sentence(
    words: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["compare", "--recipes", "darts", "--out", str(tmp_path / "c"), *words]) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("\n") == 1


def test_on_the_toy_space_searches_are_short_and_scaled():
    data = toy_set()
    given, left_out, note = contestants(CompareOptions(recipes="darts,gaea"), Toy(), data)
    assert (given["darts"].epochs, given["darts"].batch_size) == (20, 32)
    plain, _, paper = contestants(CompareOptions(recipes="darts,gaea", rates="paper"), Toy(), data)
    assert given["darts"] == scaled(plain["darts"], 16)
    assert given["gaea"] == scaled(plain["gaea"], 32)  # one level: an epoch goes through both splits
    assert plain["darts"].architecture_optimiser == RECIPES["darts"]().architecture_optimiser
    assert not left_out
    assert note != paper


def test_a_variant_takes_part_under_the_name_of_its_file_and_is_scaled_like_its_base(tmp_path: Path):
    (tmp_path / "one_level.toml").write_text('base = "darts"\nscheme = "SingleLevel"\n')
    given, _, _ = contestants(CompareOptions(recipes=f"darts,{tmp_path}/one_level.toml"), Toy(), toy_set())
    assert given.keys() == {"darts", "one_level"}
    assert given["one_level"].scheme == SingleLevel()
    here, there = (given[name].architecture_optimiser.lr.bounds[1] for name in ("darts", "one_level"))
    assert here == pytest.approx(2 * there)  # on one level an epoch goes through both splits: twice the steps


def test_every_recipe_takes_part_unless_it_does_not_fit():
    given, left_out, _ = contestants(CompareOptions(), Toy(), toy_set())
    assert len(given) + len(left_out) == len(RECIPES)
    assert all(line.partition(" ")[0] in RECIPES for line in left_out)


def test_evaluators_by_their_words():
    assert evaluator(CompareOptions(), Toy()) is None
    assert isinstance(evaluator(CompareOptions(evaluate="supernet"), Toy()), Supernet)
    assert evaluator(CompareOptions(test=True), Toy()) == Retrain(test=True)
    with pytest.raises(RecipeError, match="use --evaluate retrain or table"):
        evaluator(CompareOptions(evaluate="optimum", test=True), Toy())
    with pytest.raises(RecipeError, match="are for --evaluate table"):
        evaluator(CompareOptions(evaluate="supernet", table="a.table"), Toy())
    with pytest.raises(RecipeError, match="No table of toy comes with mixop"):
        evaluator(CompareOptions(evaluate="table"), Toy())


def test_the_data_of_a_toy_space_are_labelled_by_its_own_optimum():
    source = source_for(Toy(blocks=4))
    assert source.load().shape == (16, 1, 1)


def view(*, terminal: bool) -> tuple[Comparing, io.StringIO]:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=90, highlight=False, color_system=None)
    return Comparing("Comparing", console=console), file


def step(epoch: int, **more: object) -> dict[str, object]:
    return {"event": "step", "phase": "search", "epoch": epoch, "epochs": 4, "step": 5, "steps": 10, "seconds": 1.0, **more}


def test_the_panel_has_a_line_for_each_worker_and_one_for_all():
    progress, file = view(terminal=True)
    progress("", {"event": "plan", "total": 4, "done": 1, "measure": ACCURACY.to_json()})
    progress("darts-0", {"event": "begun"})
    progress("drnas-0", {"event": "begun"})
    progress("darts-0", step(2, train={"accuracy": 0.5}))
    record = {"phase": "search", "epoch": 1, "epochs": 4, "entropy": 1.25, "skip_share": 0.5, "columns": {"warning": "Look."}}
    progress("darts-0", record)
    progress.console.print(progress.panel())
    shown = file.getvalue()
    for text in (
        "darts-0",
        "epoch 2/4",
        "train 50.0 %",
        "entropy 1.25",
        "skip 50.0 %",
        "Look.",
        "drnas-0",
        "starting",
        "1 of 4 runs",
    ):
        assert text in shown, shown
    progress("darts-0", {"event": "done"})
    progress("drnas-0", {"event": "failed", "sentence": "It diverged."})
    progress.console.print(progress.panel())
    assert "3 of 4 runs  1 failed" in file.getvalue()
    assert "It diverged." in file.getvalue()


def test_elsewhere_a_run_is_a_plain_line():
    progress, file = view(terminal=False)
    with progress:
        progress("", {"event": "plan", "total": 10, "done": 8, "measure": ACCURACY.to_json()})
        progress("a-0", {"event": "begun"})
        progress("a-0", step(3))
        progress("a-0", {"phase": "search", "epoch": 4, "epochs": 4, "train": {"accuracy": 0.75}, "valid": {"accuracy": 0.5}})
        progress("a-0", {"event": "done"})
    title, line = file.getvalue().splitlines()
    assert title == "Comparing."
    assert line.startswith(" 9/10  a-0  epoch 4/4  train 75.0 %  valid 50.0 %")


def test_the_tasks_own_measure_is_shown_in_its_unit():
    progress, file = view(terminal=False)
    with progress:
        progress("", {"event": "plan", "total": 1, "done": 0, "measure": Measure("rmse", "lower", "mm").to_json()})
        progress("a-0", {"event": "begun"})
        record = {"phase": "search", "epoch": 4, "epochs": 4, "train": {"rmse": 3.5, "loss": 0.1}, "valid": {"rmse": 4.25}}
        progress("a-0", record)
        progress("a-0", {"event": "done"})
    assert "epoch 4/4  train 3.500 mm  valid 4.250 mm" in file.getvalue()


def test_how_much_of_a_run_is_done():
    assert share_of({}) == 0
    assert share_of(step(2)) == pytest.approx(15 / 40)
    assert share_of({**step(2), "phase": "retrain"}) == 1
    assert share_of({**step(2), "phase": "retrain", "share": 0.25}) == 0.25


def test_watching_a_search_adds_columns_and_leaves_the_rest_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["search", "--recipe", "darts", "--space", "toy", *SMALL, "--quiet"]
    assert main([*words, "--out", str(tmp_path / "plain")]) == 0
    assert main([*words, "--watch", "2", "--out", str(tmp_path / "watched")]) == 0
    plain, watched = (
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("plain", "watched")
    )
    added = {"chosen_skip_share", "parameter_free_share", "relative_entropy", "eigenvalue", "gap", "warning"}
    assert set(watched[0]["columns"]) == added
    assert plain[0]["columns"] == {}
    for one, other in zip(plain, watched, strict=True):
        assert {**one, "seconds": 0, "columns": {}} == {**other, "seconds": 0, "columns": {}}
    assert watched[0]["columns"]["eigenvalue"] is not None
    assert watched[1]["columns"]["eigenvalue"] is None
    page = (tmp_path / "watched" / "report.html").read_text()
    assert "Dominant eigenvalue" in page
    assert "Gap to the derived network" in page
    assert "Dominant eigenvalue" not in (tmp_path / "plain" / "report.html").read_text()


def test_watching_a_search_whose_mean_says_nothing_leaves_the_eigenvalue_out(tmp_path: Path):
    """Uniform draws are the same for all parameters: there is no curvature to measure."""
    words = ["search", "--recipe", "rsws", "--space", "toy", *SMALL, "--quiet", "--watch", "1", "--out", str(tmp_path)]
    assert main(words) == 0
    first = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert "gap" in first["columns"]
    assert "eigenvalue" not in first["columns"]


def test_searchers_take_part_by_their_names_and_train_as_long_as_random_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["--recipes", "darts,random,evolution", "--budget", "0.3", "--seeds", "1", "--jobs", "2"]
    assert main(["compare", *words, *SMALL, "--out", str(tmp_path / "c"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["method"]: row["n"] for row in told["methods"]} == {"darts": 1, "evolution": 1, "random": 1}

    options = CompareOptions(recipes="darts,evolution,bohb,random")
    recipes, _, _ = contestants(options, Toy(), toy_set(Toy(), n=160))
    assert list(recipes) == ["darts"]
    epochs = Retrain().protocol.epochs
    assert searchers(options, Toy(), None) == {
        "evolution": Evolution(epochs=epochs),
        "bohb": Bohb(ladder=(1, 3, 10)),
    }
