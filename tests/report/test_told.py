from xml.etree import ElementTree

from mixop.report.told import as_html, search_lines, training_lines
from mixop.report.verdict import verdict
from mixop.runs.read import read_run


def test_a_search_is_told_in_a_few_lines(run_at):
    path = run_at(epochs=20)
    run = read_run(path)
    first, found, supernet, *remarks, place = search_lines(path, "drnas")
    assert first.startswith("drnas found in 20 epochs and ")
    assert found == f"  {run.native}"
    assert f"{100 * run.search.valid['accuracy'][-1]:.1f} % accuracy on the validation split" in supernet
    assert all(len(remark) > 40 for remark in remarks)
    assert place == f"Run directory: {path}"


def test_a_training_is_told_by_its_verdict(run_at):
    path = run_at()
    assert training_lines(path) == [verdict(read_run(path)), f"Run directory: {path}"]


def test_a_notebook_shows_the_text_as_text_and_every_cell_as_a_drawing(run_at):
    run = read_run(run_at())
    html = as_html("a < b\n<script>", run)
    root = ElementTree.fromstring(f"<div>{html}</div>")
    assert root[0].text == "a < b\n<script>"
    drawn = root.findall("div/{http://www.w3.org/2000/svg}svg")
    assert len(drawn) == len(run.cells) >= 1
