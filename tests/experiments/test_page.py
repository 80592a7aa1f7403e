"""The page is written again from its file, and damage is a sentence."""

import json

import numpy as np
import pytest

import mixop
from mixop.cli import main
from mixop.core.errors import RunError
from mixop.experiments.base import Findings, Panel, Request, Surface
from mixop.experiments.catalogue import CATALOGUE
from mixop.experiments.page import figure_file, surfaces_of, write_experiment, written

NAME = "optimisers-sdarts-rs"


@pytest.fixture
def place(tmp_path):
    experiment = CATALOGUE[NAME]
    rng = np.random.default_rng(0)
    names = list(experiment.variants(2))
    panels = {
        title: Panel(title, (1.0, 2.0), {name: rng.uniform(0, 1, (3, 2)) for name in names}) for title in experiment.quantities
    }
    (tmp_path / "out").mkdir()
    request = Request(scale="small", out=tmp_path / "out", folder=tmp_path / "my data", seeds=range(3))
    grids = {"a": rng.uniform(0, 1, (3, 3)), "b": np.full((3, 3), np.nan)}
    surfaces = {"hills": Surface("hills", (-1.0, 0.0, 1.0), grids, "distance", unit="nats")}
    written(experiment, request, Findings(panels, {"epochs": "2"}, ("A note.",), surfaces=surfaces), 61.0)
    return tmp_path / "out"


def test_it_is_written_again_from_its_file_alone(place, capsys):
    first = (place / "experiment.html").read_text()
    (place / "experiment.html").unlink()
    assert main(["report", str(place)]) == 0
    assert "experiment.html" in capsys.readouterr().out
    assert (place / "experiment.html").read_text() == first
    for text in ("A note.", "1 min 1 s", "--seeds 3", "my data&#39;" if "my data&#39;" in first else "my data", "epochs"):
        assert text in first
    assert "<script" not in first
    for title in CATALOGUE[NAME].quantities:
        assert (place / figure_file(title)).read_text().startswith("<svg")
    assert (place / "hills.svg").read_text().startswith("<svg")
    assert ">Hills (nats)</h3></figcaption>" in first
    assert figure_file("Kendall's tau of shared weights") == "kendall-s-tau-of-shared-weights.svg"


def test_surfaces_come_back_and_a_file_may_have_none(place):
    content = json.loads((place / "experiment.json").read_text())
    rng = np.random.default_rng(0)
    for _ in CATALOGUE[NAME].quantities:
        for _ in CATALOGUE[NAME].variants(2):
            rng.uniform(0, 1, (3, 2))
    read = surfaces_of(content)["hills"]
    np.testing.assert_array_equal(read.series["a"], rng.uniform(0, 1, (3, 3)))
    assert np.isnan(read.series["b"]).all()
    assert (read.axis, read.along, read.percent, read.unit) == ((-1.0, 0.0, 1.0), "distance", False, "nats")
    del content["surfaces"]
    (place / "experiment.json").write_text(json.dumps(content))
    assert "hills" not in write_experiment(place).read_text()


@pytest.mark.parametrize(
    "damage", [{"panels": None}, {"patterns": [{"claim": "x"}]}, {"scale": None, "facts": 1, "seconds": "long"}]
)
def test_a_damaged_file_is_a_sentence(place, damage):
    file = place / "experiment.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **damage}))
    with pytest.raises(RunError, match="is damaged"):
        write_experiment(place)


def test_an_unfinished_one_has_no_page(tmp_path):
    with pytest.raises(mixop.MixopError, match="holds no finished experiment"):
        write_experiment(tmp_path)
