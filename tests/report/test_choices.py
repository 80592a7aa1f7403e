"""The page and the last screen of a run over the choices in a model."""

import json
import re
from html import unescape
from pathlib import Path

import pytest
from made_runs import lines_of, write_lines
from pages import MEASURE, Page, chromium

from mixop.cli import screens
from mixop.core.errors import RunError
from mixop.report import choices
from mixop.report.html import write_report
from mixop.runs.read import read_run


def page_of(run):
    return Page(write_report(run).read_text(encoding="utf-8"))


def test_decisions_stand_below_their_part_of_the_model(choices_at):
    rows = choices.rows(read_run(choices_at(blocks=2, epochs=3)))
    assert [(row.depth, row.name) for row in rows] == [
        (0, "width"),
        (0, "stages.0.blocks.0"),
        (1, "conv"),
        (2, "conv3.norm"),
        (1, "attend"),
        (0, "stages.0.blocks.1"),
        (1, "conv"),
        (2, "conv3.norm"),
        (1, "attend"),
        (0, "pick"),
    ]
    assert rows[1].options == ()
    assert rows[1].pieces == ["stages.", "0.", "blocks.", "0"]


def test_numbers_in_the_list_are_those_of_the_files(choices_at):
    run = choices_at()
    found = json.loads((run / "architecture.json").read_text())
    mix = lines_of(run)[29]["mix"]
    rows = {}
    for row in choices.rows(read_run(run)):
        part = row.name if row.depth == 0 else part  # noqa: F821  # the first row has depth 0
        if row.options:
            inner = row.name if row.depth < 2 else f"conv.{row.name}"
            rows[part if row.depth == 0 else f"{part}.{inner}"] = row
    assert set(rows) == set(mix)
    for name, row in rows.items():
        weights = [taken for _, taken in mix[name]] if name == "pick" else mix[name][0]
        assert [option.weight for option in row.options] == weights
        taken = found["choices"].get(name, [])
        assert [o.name for o in row.options if o.taken] == ([taken] if isinstance(taken, str) else taken)
        assert row.taken == (" + ".join(taken) if isinstance(taken, list) else taken)
    assert rows["pick"].options[0].name == "stem"
    assert rows["stages.0.blocks.0.conv"].options[2].cost == ("2 k mult-adds", "20 parameters")
    assert rows["stages.0.blocks.0.conv"].options[0].cost == ("free",)
    text = page_of(run).text("cell")
    for part in ("stages.0.blocks.3", "conv3.norm not reached", "2 k mult-adds 20 parameters", "▸\u00a0heads4"):
        assert part.replace("\u00a0", " ") in text


def test_the_page_calls_things_by_their_names(choices_at):
    run = choices_at()
    page = page_of(run)
    assert "The found choices" in page.text("cell")
    assert "No architecture" not in page.text("cell")
    assert "space Net" in page.text()
    assert "recipe drnas" in page.text()
    assert sum(tag == "svg" and "mixing weights" in a["aria-label"].lower() for tag, a in page.tags) <= 3  # two of strips
    (first, *_) = [
        a["aria-label"] for tag, a in page.tags if tag == "svg" and a["aria-label"].startswith("Mixing weights over")
    ]
    assert "stages.0.blocks.0.conv: conv3 " in first or "stages.0.blocks.0.conv: conv" in first
    assert "not reached" in first
    assert "operation" not in page.text("weights")


def test_what_changed_between_epochs_is_marked_by_decision():
    words, count = choices.changed_words("a=x, b=y, b.y.c=1", "a=x, b=z")
    assert (words, count) == ([("a=x", False), (", ", False), ("b=z", True)], 1)


def test_an_unfinished_search_shows_its_weights(choices_at):
    page = page_of(choices_at(upto="search", epochs=2))
    assert "No architecture has been found yet" in page.text("cell")
    assert "--trust my_package.nets" in page.text("cell")
    assert "the heaviest option so far" in page.text("weights")


@pytest.mark.parametrize("entry", [{"nothing": "a"}, {"width": 3}, {"width": ["0.5", 1]}, [], "width"])
def test_damaged_choices_are_refused(choices_at, entry):
    run = choices_at(blocks=1, epochs=1)
    content = json.loads((run / "architecture.json").read_text())
    (run / "architecture.json").write_text(json.dumps({**content, "choices": entry}))
    with pytest.raises(RunError, match=r"architecture\.json"):
        read_run(run)


def test_damaged_costs_are_refused(choices_at):
    run = choices_at(blocks=1, epochs=1)
    for costs in ({"width": 3}, {"width": {"0.5": {"flops": "many"}}}):
        (run / "costs.json").write_text(json.dumps(costs))
        with pytest.raises(RunError, match=r"costs\.json.*numbers by decision, option and measure"):
            read_run(run)


def test_weights_that_are_missing_are_dashes(choices_at):
    run = choices_at(blocks=1, epochs=2)
    lines = lines_of(run)
    for line in lines:
        if "mix" in line:
            line["mix"] = {}
    write_lines(run, lines)
    assert "1.0 \u2013" in page_of(run).text("cell")


def test_layout_in_chromium(drawn, choices_at, tmp_path):
    markup = write_report(choices_at()).read_text(encoding="utf-8")
    markup = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", markup)
    measured = tmp_path / "measured.html"
    loose = """[...document.querySelectorAll(".options li > span, .place .name, .place b")]
      .filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0).map(e => e.textContent)"""
    script = MEASURE.replace("  ground:", f"  loose_names: {loose},\n  ground:")
    measured.write_text(markup.replace("</body>", script + "</body>"), encoding="utf-8")
    for width in (500, 1280):
        done = chromium(tmp_path, f"--window-size={width},900", "--dump-dom", measured.as_uri())
        found = json.loads(unescape(re.findall(r"<title>(\{.*?\})</title>", done.stdout)[0]))
        assert found["overflow"] <= 0
        assert found["flat"] == []
        assert found["loose_names"] == []


def test_the_last_screen_has_a_line_for_each_of_many_choices(choices_at, capsys):
    run = choices_at(epochs=3)
    native = json.loads((run / "architecture.json").read_text())["native"]
    screens.found("darts", run, run / "report.html")
    told = capsys.readouterr().out
    lines = [line for line in told.splitlines() if "=" in line]
    assert " ".join(line.strip() for line in lines) == native
    assert len(lines) == native.count("=")
    assert max(map(len, lines)) <= 80
    assert "--trust my_package.nets" in told
    screens.compared(run, run / "report.html")
    assert all(line in capsys.readouterr().out.splitlines() for line in lines[:1])


def test_few_choices_stay_on_one_line(choices_at, capsys):
    run = choices_at(epochs=1, blocks=1)
    path = Path(run, "architecture.json")
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "native": "width=1.0, pick=stem", "choices": {"width": "1.0", "pick": ["stem"]}}))
    screens.found("darts", run, run / "report.html")
    assert "\n  width=1.0, pick=stem\n" in capsys.readouterr().out
