"""The parts of the page say what the files say, and are made anew only where those changed."""

import json
from pathlib import Path

import pytest
from made_runs import lines_of, make_run, write_json, write_lines
from pages import Page

from mixop.core.measure import ACCURACY
from mixop.runs.files import FORMAT
from mixop.watch import pages
from mixop.watch.follow import Follower
from mixop.watch.pages import Pages


def looked(folder: Path) -> Pages:
    made = Pages(Follower(folder))
    made.follower.look()
    return made


def warned(epoch: int) -> dict[str, str]:
    return {"warning": f"{epoch} of 6 decisions are skips"} if epoch > 6 else {}


def test_a_running_search_shows_how_far_it_is_its_cell_and_its_warnings(run_at):
    run = run_at(epochs=50, upto="search", columns=warned)
    write_lines(run, lines_of(run)[:12])
    parts = looked(run).parts()
    assert list(parts) == ["head", "facts", "search", "cell", "weights", "changes"]
    head = Page(parts["head"])
    assert "Running: 12 of 50 epochs of the search, about 1 min " in head.text()
    assert "Epoch 12: 12 of 6 decisions are skips" in head.text()
    assert ("progress", {"max": "50", "value": "12", "aria-label": "Epochs"}) in head.tags
    assert "The cell as derived after epoch 12" in Page(parts["cell"]).text("cell")
    assert "12 of 6 decisions are skips" in Page(parts["search"]).text("search")
    assert "architecture derived now" in Page(parts["weights"]).text("weights")
    assert "12 of 50" in Page(parts["facts"]).text()


def test_a_finished_run_shows_what_its_report_says(run_at):
    run = run_at(epochs=8)
    parts = looked(run).parts()
    assert "comes 1st of 5, beside 4 random architectures" in Page(parts["head"]).text()
    assert "The found cell" in Page(parts["cell"]).text("cell")
    assert list(parts)[-2:] == ["comparison", "retraining"]


def test_only_what_changed_is_made_anew(run_at, monkeypatch: pytest.MonkeyPatch):
    run = run_at(epochs=5, upto="search")
    made, calls = looked(run), []
    section = pages.section
    monkeypatch.setattr(pages, "section", lambda name, *args, **options: calls.append(name) or section(name, *args, **options))
    first = made.parts()
    made.follower.look()
    assert made.parts() == first
    assert calls == ["search", "cell", "weights", "changes"]
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(lines_of(run)[-1] | {"epoch": 6}) + "\n")
    made.follower.look()
    assert made.parts() != first
    assert len(calls) == 8


@pytest.fixture
def three(tmp_path: Path) -> Path:
    for name, upto in (("a", "architecture"), ("b", "search"), ("c", "start")):
        make_run(tmp_path / "runs" / name, epochs=4, upto=upto)
    return tmp_path / "runs"


def test_several_runs_stand_in_a_table_and_are_overlaid(three: Path):
    parts = looked(three).parts()
    assert list(parts) == ["head", "overlay", "cost", "runs"]
    assert "3 runs: 1 finished, 2 running." in Page(parts["head"]).text()
    assert "3 runs overlaid" in Page(parts["overlay"]).text("overlay")
    table = Page(parts["runs"])
    for said in ("a finished 4 of 4", "b running 4 of 4", "c running \u2013"):
        assert said in table.text("runs")
    last = lines_of(three / "a")[-1]["valid"]["accuracy"]
    assert f"{100 * last:.1f} %" in table.text("runs")


def test_one_chosen_run_is_shown_alone_with_a_way_back(three: Path):
    made = looked(three)
    number = made.follower.runs[1].number
    head = Page(made.parts((number,))["head"])
    assert "All runsb Running" in head.text()
    assert ("a", {"href": "./"}) in head.tags


def test_several_chosen_runs_stay_chosen(three: Path):
    made = looked(three)
    a, b, c = (run.number for run in made.follower.runs)
    parts = made.parts((a, b))
    checked = [tag["value"] for name, tag in Page(parts["runs"]).tags if name == "input" and "checked" in tag]
    assert checked == [str(a), str(b)]
    assert "Show all" in Page(parts["runs"]).text("runs")
    assert made.parts((c, 99))["head"] == made.parts((c,))["head"]
    assert made.parts((99,)) == made.parts()


def test_an_empty_directory_says_what_it_waits_for(tmp_path: Path):
    parts = looked(tmp_path).parts()
    assert list(parts) == ["head"]
    assert "There is no run here yet; it appears as soon as one begins." in Page(parts["head"]).text()


def test_a_run_that_cannot_be_read_says_why_and_the_others_are_shown(three: Path):
    (three / "b" / "data.json").write_text("[")
    made = looked(three)
    parts = made.parts()
    assert "data.json is torn or damaged" in Page(parts["head"]).text()
    assert "a finished 4 of 4" in Page(parts["runs"]).text("runs")
    broken = made.follower.runs[1].number
    assert list(made.parts((broken,))) == ["head"]


def test_what_cannot_be_drawn_is_said_in_its_place(three: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> str:
        raise ZeroDivisionError("<of an odd file>")

    monkeypatch.setattr(pages, "section", fail)
    made = looked(three)
    parts = made.parts((made.follower.runs[0].number,))
    assert list(parts) == ["head", "fault"]
    assert "This is a bug in mixop (ZeroDivisionError: <of an odd file>)" in Page(parts["fault"]).text()
    assert "overlay" in made.parts()


def test_a_name_is_text_and_no_markup(tmp_path: Path):
    name = "<img src=x onerror=alert(1)>"
    make_run(tmp_path / name, epochs=2, upto="search", columns=lambda epoch: {"warning": name, name: name})
    make_run(tmp_path / "other", epochs=2, upto="search")
    made = looked(tmp_path)
    for chosen in ((), (made.follower.runs[0].number,)):
        page = Page("".join(made.parts(chosen).values()))
        assert "img" not in {tag for tag, _ in page.tags}
        assert not [tag for tag, given in page.tags if any(key.startswith("on") for key in given)]


def test_a_comparison_shows_its_table(tmp_path: Path):
    folder = tmp_path / "compare"
    for seed, score in ((0, 0.5), (1, 0.75)):
        run = make_run(folder / f"darts-{seed}", epochs=2, upto="architecture")
        trial = {"recipe": "darts", "seed": seed, "architecture": "a", "search_seconds": 2.0, "score": score}
        write_json(run / "trial.json", trial)
    write_json(folder / "run.json", {"format": FORMAT})
    identity = {
        "recipes": {"darts": {"name": "darts"}},
        "space": {"space": {"type": "NasBench201"}},
        "data": {"name": "digits"},
        "seeds": [0, 1],
        "evaluator": {"type": "Supernet"},
        "score": "supernet accuracy",
        "measure": ACCURACY.to_json(),
        "trial_measure": ACCURACY.to_json(),
        "note": "",
    }
    write_json(folder / "comparison.json", identity)
    parts = looked(folder).parts()
    assert "62.5 ± 17.7" in Page(parts["table"]).text("table")
    assert "2 of 4 runs of the comparison are done." in Page(parts["head"]).text()
    write_json(folder / "comparison.json", {})
    assert "comparison.json is damaged" in Page(looked(folder).parts()["head"]).text()


def test_pages_of_many_choices_are_not_all_kept(three: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pages, "KEPT", 2)
    made = looked(three)
    for run in made.follower.runs:
        made.parts((run.number,))
    assert len(made._made) == 2
