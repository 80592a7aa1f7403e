"""The gallery of experiments is what its rows say."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def gallery():
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "studies" / "gallery.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_made_from_the_rows(gallery):
    assert gallery.PAGE.read_text() == gallery.page(gallery.kept()), "run python studies/gallery.py"


def test_every_figure_is_there_and_no_other(gallery):
    named = {line.split("(")[-1].rstrip(")") for line in gallery.PAGE.read_text().splitlines() if line.startswith("![")}
    assert named
    assert named == {f"images/experiments/{file.name}" for file in gallery.IMAGES.iterdir()}


def test_verdicts_are_those_of_the_rules_today(gallery):
    """A rule that changes after the run would leave an old verdict behind."""
    for content in gallery.kept():
        experiment = gallery.CATALOGUE[content["name"]]
        judged = experiment.judged(gallery.findings_of(content))
        assert [(one["verdict"], one["why"]) for one in content["patterns"]] == [(j.verdict, j.why) for j in judged]
        assert [one["rule"] for one in content["patterns"]] == [pattern.rule for pattern in experiment.patterns]


def test_what_tells_nothing_stays_out(gallery, tmp_path):
    (tmp_path / "experiment.json").write_text('{"scale": "tiny"}')
    with pytest.raises(SystemExit, match="tells nothing"):
        gallery.taken_in(tmp_path)
