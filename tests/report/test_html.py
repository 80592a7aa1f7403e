"""The page: what it says is what the files say, it needs nothing else, and a browser shows it."""

import json
import re
import stat
from html import unescape

import numpy as np
import pytest
from made_runs import lines_of, write_lines
from matplotlib.image import imread
from pages import BROKEN, MEASURE, Page, chromium

from mixop.core.errors import RunError
from mixop.report.html import write_report

SECTIONS = ["cell", "comparison", "confusion", "search", "weights", "changes", "retraining", "recipe", "environment", "repeat"]


def page_of(run):
    return Page(write_report(run).read_text(encoding="utf-8"))


def test_numbers_in_the_page_are_those_of_the_files(drawn, run_at):
    run = run_at()
    page = page_of(run)
    assert "The architecture found in 50 epochs reaches 98.1 % accuracy on 360 test images" in page.text()
    assert "comes 1st of 5, beside 4 random architectures" in page.text()
    native = json.loads((run / "architecture.json").read_text())["native"]
    assert native in page.text()
    comparison = page.text("comparison")
    for network in json.loads((run / "score.json").read_text())["networks"]:
        assert network["label"] in comparison
        assert f"{100 * network['measures']['accuracy']:.1f} %" in comparison
        assert f"{network['measures']['loss']:.3f}" in comparison
        assert f"{network['parameters']:,}" in comparison
        assert network["architecture"] in comparison
    assert "7 of 360 test images are taken for something else" in page.text("confusion")
    assert "Trained on 1,437 training images, measured on 360 test images." in comparison
    for fact in (
        "task classification",
        "input 1 \u00d7 8 \u00d7 8 image",
        "examples 718 for the weights, 719 validation, 360 test",
    ):
        assert fact in page.text()
    last = lines_of(run)[49]
    assert f"{last['entropy']:.2f}" in page.text()
    assert f"{100 * last['skip_share']:.1f} %" in page.text()
    assert "in 2 min 35 s" in page.text()  # 50 epochs of 3.1 s
    for weight in last["mix"]["cell"][0]:
        assert f"{weight:.2f}" in page.text("weights")
    for said in ("Dirichlet", "strength", "0.001", "Cosine", "NasBench201"):
        assert said in page.text("recipe")
    for said in ("2.6.0+cpu", "AMD EPYC", "9f2c51d0", "scikit-learn"):
        assert said in page.text("environment")
    assert "mixop search --recipe drnas --space nasbench201 --data digits --out runs/digits" in page.text("repeat")
    assert "mixop retrain runs/digits --epochs 20" in page.text("repeat")
    assert "mixop resume" not in page.text("repeat")


def test_the_confusion_table_holds_every_count(run_at):
    run = run_at()
    markup = write_report(run).read_text(encoding="utf-8")
    (table,) = re.findall(r'<table class="confusion.*?</table>', markup, flags=re.DOTALL)
    (body,) = re.findall(r"<tbody>.*?</tbody>", table, flags=re.DOTALL)
    rows = [re.findall(r"<td[^>]*>(\d+|·)</td>", row) for row in body.split("<tr>")[1:]]
    counts = [[0 if cell == "·" else int(cell) for cell in row] for row in rows]
    assert counts == json.loads((run / "score.json").read_text())["confusion"]
    assert len(re.findall(r'<td class="right', body)) == 10


def test_the_cell_is_drawn_as_found(run_at):
    run = run_at()
    edges = json.loads((run / "architecture.json").read_text())["cells"]["cell"]["edges"]
    drawn = page_of(run).text("cell")
    assert all(edge["operation"] in drawn for edge in edges)


def test_changes_of_the_architecture_are_told(run_at):
    run = run_at(epochs=3, upto="search")
    records = lines_of(run)
    for record, native in zip(records, ("|none~0|+|a~0|b~1|", "|none~0|+|a~0|c~1|", "|none~0|+|a~0|c~1|"), strict=True):
        record["architecture"] = native
    write_lines(run, records)
    markup = write_report(run).read_text(encoding="utf-8")
    assert "changed 1 time; the last change came with epoch 2 of 3" in page_of(run).text("changes")
    assert re.findall(r"<mark>(.*?)</mark>", markup) == ["c~1"]


def test_a_kept_architecture_that_is_not_the_last_is_told(run_at):
    run = run_at(epochs=3, upto="architecture")
    records = lines_of(run)
    native = json.loads((run / "architecture.json").read_text())["native"]
    for record, name in zip(records, ("|x~0|", native, "|y~0|"), strict=True):
        record["architecture"] = name
    write_lines(run, records)
    assert "The found architecture is that of epoch 2, not the last." in page_of(run).text("changes")


@pytest.mark.parametrize(
    ("upto", "command", "absent"),
    [
        ("start", "resume", ["cell", "search", "weights", "changes"]),
        ("start", "retrain", ["comparison", "confusion", "retraining"]),
        ("search", "resume", ["cell"]),
        ("architecture", "retrain", ["comparison", "confusion", "retraining"]),
    ],
)
def test_what_is_not_there_yet_is_named_with_its_command(run_at, upto, command, absent):
    run = run_at(epochs=3, upto=upto)
    page = page_of(run)
    for section in absent:
        assert f"mixop {command} {run}" in page.text(section)
        assert "yet" in page.text(section)


@pytest.mark.parametrize("changes", [{"epochs": 1}, {"rivals": ()}, {"rivals": (0.9,)}, {"errors": 0}, {"classes": ["a", "b"]}])
def test_small_runs_have_all_sections(run_at, changes):
    page = page_of(run_at(**{"epochs": 2, **changes}))
    assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == SECTIONS
    assert "To get there" not in "".join(page.texts.values())


def test_two_groups(run_at):
    page = page_of(run_at("darts", groups=("normal", "reduce"), epochs=3))
    assert sum(attributes.get("class") == "mixop-cell" for _, attributes in page.tags) == 2
    for name in ("normal", "reduce"):
        assert name in page.text("cell")
        assert name in page.text("weights")
    assert "c(k\u22121)" in page.text("cell")
    assert page.text("weights").count("dropped") == 12  # 14 edges, 8 kept, in each of two cells


def test_what_a_search_does_not_measure_is_left_out(run_at):
    run = run_at(epochs=3, upto="search")
    records = lines_of(run)
    for record in records:
        record.update(skip_share=None, valid={}, mix={})
    write_lines(run, records)
    page = page_of(run)
    assert "Skip share" not in page.text() + page.text("search")
    figures = [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"]
    assert not any("validation" in figure for figure in figures)
    assert "learns from all training examples" in page.text("search")
    assert "No mixing weights have been recorded yet" in page.text("weights")


def test_many_classes_are_drawn_coarsely(drawn, run_at):
    page = page_of(run_at(epochs=2, classes=[f"class {n}" for n in range(40)], errors=60))
    assert not any(tag == "table" and "confusion" in attributes.get("class", "") for tag, attributes in page.tags)
    assert "60 of 1,440 test images are taken for something else" in page.text("confusion")


def test_names_from_files_cannot_become_markup(drawn, run_at):
    nasty = '<script>alert("1")</script>'
    run = run_at("a<b>&c", epochs=2, classes=[nasty, "b", "c\ud800", "it's"])
    for name, change in (
        ("environment.json", {"command": nasty, nasty: nasty}),
        ("recipe.json", {"name": nasty, "part": {"type": nasty, "x": [nasty, {"y": nasty}]}}),
        ("data.json", {"name": nasty}),
    ):
        path = run / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    space = (run / "space.json").read_text()
    (run / "space.json").write_text(space.replace("nor_conv_1x1", "<script>'&amp;]]>"))
    architecture = (run / "architecture.json").read_text()
    (run / "architecture.json").write_text(architecture.replace("nor_conv_1x1", "<script>'&amp;]]>"))
    score = json.loads((run / "score.json").read_text())
    score["networks"][1]["label"] = f"random {nasty}"
    (run / "score.json").write_text(json.dumps(score))
    page = page_of(run)
    assert not any(tag == "script" for tag, _ in page.tags)
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
    assert nasty in page.text("confusion")
    assert nasty in page.text("recipe")
    assert nasty in page.text("repeat")
    assert nasty in page.text("comparison")
    assert "<script>'&amp;]]>" in page.text("weights")


def test_the_page_needs_nothing_else(drawn, run_at):
    markup = write_report(run_at(epochs=2)).read_text(encoding="utf-8")
    for tag, attributes in Page(markup).tags:
        for key in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            assert re.match(r"#|data:", attributes.get(key) or "#"), (tag, attributes)
    assert "@import" not in markup
    assert not re.search(r"url\((?!#)", markup)


def test_ids_are_unique_and_links_lead_somewhere(drawn, run_at):
    tags = Page(write_report(run_at(epochs=2)).read_text(encoding="utf-8")).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in tags:
        links = [
            attributes.get("href"),
            attributes.get("xlink:href"),
            *re.findall(r"url\((#.*?)\)", attributes.get("clip-path") or ""),
        ]
        assert all(link[1:] in ids for link in links if link and link.startswith("#"))


def test_figures_say_what_they_show(drawn, run_at):
    page = page_of(run_at(epochs=3))
    figures = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(figures) == 1 + 1 + 4 + 6 + 2  # cell, ranking, search, a panel for each decision, retraining
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in figures)
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")


def test_the_same_files_give_the_same_page(drawn, run_at):
    run = run_at(epochs=2)
    first = write_report(run).read_bytes()
    assert write_report(str(run)).read_bytes() == first
    assert [path.name for path in run.iterdir() if "partial" in path.name] == []


def test_a_report_that_cannot_be_written_leaves_nothing_behind(run_at):
    run = run_at(epochs=1)
    (run / "report.html").mkdir()
    with pytest.raises(RunError, match=r"Cannot write .*report\.html"):
        write_report(run)
    assert [path.name for path in run.iterdir() if "partial" in path.name] == []


def test_a_failed_report_keeps_the_old_one(run_at):
    run = run_at(epochs=1)
    old = write_report(run).read_bytes()
    (run / "score.json").write_text("{")
    with pytest.raises(RunError):
        write_report(run)
    assert (run / "report.html").read_bytes() == old
    assert stat.S_ISREG((run / "report.html").stat().st_mode)


def test_chromium_shows_the_page_without_a_complaint(drawn, run_at, tmp_path):
    report = write_report(run_at(epochs=12))
    picture = tmp_path / "page.png"
    done = chromium(tmp_path, f"--screenshot={picture}", "--dump-dom", "--window-size=1200,3000", report.as_uri())
    assert "CONSOLE" not in done.stderr
    image = imread(picture)
    assert image.shape[:2] == (3000, 1200)
    colours = (image[::3, ::3, :3] * 255).astype(int) @ (1, 256, 65_536)  # numbers are told apart sooner than rows
    assert np.unique(colours).size > 100
    assert [attributes["id"] for tag, attributes in Page(done.stdout).tags if tag == "section"] == SECTIONS


@pytest.mark.parametrize(("scheme", "dark"), [(0, True), pytest.param(1, False, marks=pytest.mark.slow)])
def test_layout_in_chromium(drawn, run_at, tmp_path, scheme, dark):
    report = write_report(run_at("darts", groups=("normal", "reduce"), epochs=3))
    markup = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report.read_text(encoding="utf-8"))
    measured = tmp_path / "measured.html"
    measured.write_text(markup.replace("</body>", MEASURE + "</body>"), encoding="utf-8")
    done = chromium(
        tmp_path, f"--blink-settings=preferredColorScheme={scheme}", "--window-size=500,900", "--dump-dom", measured.as_uri()
    )
    (title,) = re.findall(r"<title>(\{.*?\})</title>", done.stdout)
    found = json.loads(unescape(title))
    assert found["overflow"] <= 0  # on a phone nothing sticks out of the page
    assert found["flat"] == []
    assert found["loose"] == []  # texts fit their boxes in the fonts of this machine
    assert found["ground"] == ("rgb(17, 21, 27)" if dark else "rgb(245, 246, 248)")
    assert found["curve"] == ("rgb(116, 167, 255)" if dark else "rgb(42, 98, 197)")


@pytest.mark.parametrize("space", ["darts", "chain"])
def test_a_page_on_a_phone_breaks_no_word_of_the_recipe_and_keeps_drawings_legible(drawn, run_at, tmp_path, space):
    run = run_at("darts", groups=("normal", "reduce"), epochs=3)
    if space == "chain":
        edges = [{"source": k, "target": k + 1, "operation": "conv_3x3"} for k in range(4)]
        cell = {"inputs": 1, "nodes": 5, "output": [4], "chain": True}
        skip = {"source": 0, "target": 3, "operation": "skip_connect"}
        found = json.loads((run / "architecture.json").read_text())
        (run / "architecture.json").write_text(json.dumps({**found, "cells": {"network": {**cell, "edges": [*edges, skip]}}}))
    markup = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", write_report(run).read_text(encoding="utf-8"))
    measured = tmp_path / "measured.html"
    measured.write_text(markup.replace("</body>", BROKEN.replace("WIDTH", "390") + "</body>"), encoding="utf-8")
    done = chromium(tmp_path, "--window-size=500,900", "--dump-dom", measured.as_uri())
    (title,) = re.findall(r"<title>(\{.*?\})</title>", done.stdout)
    found = json.loads(unescape(title))
    assert found["broken"] == []
    assert found["wide"] <= 0
    assert 0.75 < found["drawing"] <= 1  # letters of 9 pixels at least, and none larger than they were made
    assert found["scrolls"] == (space == "darts")  # a small drawing is there as a whole


def test_cells_with_operations_at_their_nodes_are_explained(run_at):
    run = run_at(epochs=2)
    found = json.loads((run / "architecture.json").read_text())
    cell = {"inputs": 1, "nodes": 3, "output": [2], "operations": ["maxpool3x3"]}
    edges = [{"source": 0, "target": 1}, {"source": 1, "target": 2}]
    (run / "architecture.json").write_text(json.dumps({**found, "cells": {"cell": {**cell, "edges": edges}}}))
    text = page_of(run).text("cell")
    assert "passes the sum on through its operation" in text
    assert "an edge is one operation" not in text


def noted(epoch):
    warns = epoch in (2, 3, 4, 6)
    return {
        "warning": f"{10 * epoch}% are <skips>." if warns else None,
        "eigenvalue": 0.5 * epoch if epoch % 2 else None,
        "gap": -0.25 if epoch % 2 else None,
    }


def test_warnings_are_listed_with_their_epochs(run_at):
    page = write_report(run_at(epochs=6, upto="search", columns=noted)).read_text()
    assert "<td>2 to 4</td><td>40% are &lt;skips&gt;.</td>" in page
    assert "<td>6</td><td>60% are &lt;skips&gt;.</td>" in page
    assert "Dominant eigenvalue: 0.500 at epoch 1" in page.replace(" over the epochs. ", ": ")
    assert "-25.000 at epoch 5" in page
    assert "In points of percent of accuracy." in page


def test_a_gap_is_in_the_unit_of_the_first_measure(run_at):
    page = write_report(run_at(epochs=6, task="heights", upto="search", columns=noted)).read_text()
    assert "-0.250 at epoch 5" in page
    assert "In mm of RMSE." in page


def test_a_monitors_own_columns_reach_the_page(run_at):
    """Nothing in mixop knows these columns: a number gets a figure, a text a list, by the name that the monitor gave."""
    columns = {1: {"novelty_score": 3.0, "mood": "calm"}, 2: {"novelty_score": None, "mood": None}, 3: {"novelty_score": 1.5}}
    run = run_at(epochs=3, upto="search", columns=columns.get)
    records = lines_of(run)
    records[2]["action"] = "Mine: stop"
    write_lines(run, records)
    page = page_of(run)
    assert "Novelty score" in page.text("search")
    (figure,) = [a["aria-label"] for tag, a in page.tags if tag == "svg" and "Novelty" in a["aria-label"]]
    assert figure == "Novelty score over the epochs. 3.000 at epoch 1, 1.500 at epoch 3."
    assert "Mood EpochsText 1calm" in page.text("search")
    assert "Interventions EpochsText 3Mine: stop" in page.text("search")


def test_where_lower_is_better_the_lowest_is_first(run_at):
    page = page_of(run_at(epochs=3, task="heights"))
    assert "reaches an RMSE of 3.25 mm on 360 test examples (lower is better) and comes 1st of 5" in page.text()
    for fact in ("task regression", "input 30 features"):
        assert fact in page.text()
    table = page.text("comparison")
    heads = ("Test RMSE (mm)", "Test R\u00b2", "Test loss")
    assert [table.index(head) for head in heads] == sorted(table.index(head) for head in heads)
    rows = ["found3.25", "random 23.40", "random 13.50", "random 33.75", "random 44.00"]
    packed = table.replace(" found", "found").replace("found ", "found")
    places = [re.sub(r"(?<=\d) (?=\d)", "", packed).index(row) for row in rows]
    assert places == sorted(places)
    assert "Lower is better: RMSE, loss." in table
    assert "interval" not in page.text() + table
    assert "Lower is better, and the best is on top." in table
    assert "accuracy" not in "".join(page.texts.values()).lower()
    assert "images" not in "".join(page.texts.values())


def test_a_task_without_classes_has_no_confusion(run_at):
    for upto in ("search", "score"):
        page = page_of(run_at(upto, epochs=2, task="text", upto=upto))
        assert "confusion" not in [attributes["id"] for tag, attributes in page.tags if tag == "section"]
        assert "Confusion" not in "".join(page.texts.values())
        assert "input 32 tokens of a vocabulary of 1,065" in page.text()
        assert ("multiply-adds for one window" in page.text()) == (upto == "score")
        assert "images" not in page.text()
        assert "Loss (nats a token)" in page.text("search")


def test_of_a_long_list_the_page_has_the_beginning(run_at):
    run = run_at(epochs=2, task="text")
    data = json.loads((run / "data.json").read_text())
    data["task"]["vocabulary"] = [f"word{number}" for number in range(1065)]
    (run / "data.json").write_text(json.dumps(data))
    text = page_of(run).text("environment")
    assert "word18, word19 and 1,045 more" in text
    assert "word20" not in text


def test_a_retraining_alone_sends_nobody_after_its_search(run_at):
    run = run_at(epochs=2)
    (run / "recipe.json").rename(run / "retrain.json")
    write_lines(run, [line for line in lines_of(run) if line["phase"] == "retrain"])
    page = page_of(run)
    for section in ("search", "weights", "changes"):
        assert "This directory holds a retraining alone" in page.text(section)
        assert "To get there" not in page.text(section)


def test_validation_examples_are_called_so(run_at):
    """What was scored on validation examples never says test: a selection's page, and those of a comparison's trainings."""
    page = page_of(run_at(epochs=2, scored_on="valid", rival="candidate"))
    assert "on 360 validation images and comes 1st of 5, beside 4 other candidates" in page.text()
    assert "a difference of 2 validation images" in page.text()
    assert "Trained on 718 images of the weight split, measured on 360 validation images." in page.text("comparison")
    assert "Validation accuracy" in page.text("comparison")
    assert "7 of 360 validation images are taken for something else" in page.text("confusion")
    for text in (page.text().split("recipe drnas")[0], page.text("comparison"), page.text("confusion")):
        assert "test" not in text.lower()
    assert not any("test" in attributes.get("aria-label", "").lower() for tag, attributes in page.tags if tag == "svg")
    assert "random" not in page.text() + page.text("comparison")


def test_positions_are_no_examples(run_at):
    """A confusion of pixels counts many in one example: no interval, and shares of rows in place of counts."""
    run = run_at(epochs=2)
    score = json.loads((run / "score.json").read_text())
    score["confusion"] = [[100 * count for count in row] for row in score["confusion"]]
    (run / "score.json").write_text(json.dumps(score))
    page = page_of(run)
    assert "700 of 36,000 positions in 360 test images are taken for something else" in page.text("confusion")
    assert "In % of the row." in page.text("confusion")
    assert "interval" not in page.text() + page.text("comparison")
    assert "theirs range from 95.8 to 97.5 %" in page.text()
