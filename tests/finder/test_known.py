"""Known networks beside what a search found: equal parameters, equal time, kept and continued."""

import json
from dataclasses import replace

import pytest
import torch

import mixop
from mixop.core.errors import MixopError, RecipeError, RunError
from mixop.data import from_arrays
from mixop.data.core import Data
from mixop.evaluate.protocol import PROTOCOLS
from mixop.evaluate.score import parameters
from mixop.finder import known
from mixop.finder.known import train_known
from mixop.finder.portfolio import by_hand
from mixop.nets.discrete import build
from mixop.report.html import write_report
from mixop.runs.load import read_known, read_score
from mixop.runs.read import read_run
from mixop.spaces import resnet

SPACE = mixop.spaces.nasbench201(channels=4, cells=1, stages=1)
PROTOCOL = replace(PROTOCOLS["quick"], epochs=2, batch_size=16)


@pytest.fixture(scope="module")
def data() -> Data:
    """Synthetic: two classes of grey images of different brightness."""
    y = torch.arange(80) % 2
    x = torch.randn(80, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + y.view(-1, 1, 1, 1)
    return from_arrays(x, y, valid=0.5, test_share=0.2, layout="nchw")


@pytest.fixture
def run(data, tmp_path, monkeypatch):
    """A search, and the training of what it found; no decision depends on how fast this machine is."""
    honest = known.plan
    monkeypatch.setattr(known, "plan", lambda *given, **more: replace(honest(*given, **more), epochs=3))
    found = mixop.search(replace(mixop.recipes.darts(epochs=1), batch_size=16), SPACE, data, tmp_path / "run", threads=1)
    return mixop.retrain(found.architecture, found.space, data, found.out, protocol=PROTOCOL, threads=1)


def test_each_is_as_wide_as_equal_parameters_allow_and_scored_on_the_same_examples(run, data):
    result = train_known(run.out, data, threads=1)
    found = run.score.found
    for family, network in zip(by_hand(data), result.networks, strict=True):
        name, _, size = network.label.rpartition(" ")
        assert name == family.label

        def count(width, family=family):
            space = family.space(width).fit(data)
            return parameters(build(family.architecture(space), space))

        assert network.parameters == count(int(size))
        assert count(int(size)) <= found.parameters < count(int(size) + 1) or int(size) == 2
        score = read_score(run.out / "known" / network.label.replace(" ", "-") / "score.json")
        assert (score.trained_on, score.scored_on) == (run.score.trained_on, run.score.scored_on)
        assert score.networks[0].measures == network.measures
        assert network.epochs == 3
    searched = json.loads((run.out / "metrics.jsonl").read_text().splitlines()[0])["seconds"]
    assert result.seconds == pytest.approx(found.seconds + searched)
    assert str(result).count("A known network, ") == 2
    assert len(result.frame()) == 2


def test_it_goes_on_where_it_stopped_and_grows(run, data):
    class Stop(Exception):
        pass

    def observe(record):
        assert record["label"] == "plain ResNet"
        if record.get("event") == "step" and record["epoch"] == 2:
            raise Stop

    with pytest.raises(Stop):
        train_known(run.out, data, count=1, threads=1, observe=observe)
    assert read_known(run.out / "known.json").networks == ()
    one = train_known(run.out, data, count=1, threads=1)
    assert [network.label.rpartition(" ")[0] for network in one.networks] == ["plain ResNet"]
    two = train_known(run.out, data, count=2, threads=1)
    assert two.networks[:1] == one.networks
    assert len(two.networks) == 2
    assert train_known(run.out, data, count=1, threads=1).networks == two.networks
    page = write_report(run.out).read_text()
    assert all(network.label in page and f"{network.parameters:,}" in page for network in two.networks)
    assert "In the time" not in page
    assert page.count("in the time of search and training") == 2
    assert "A row without a place is a known network" in page
    assert all(sentence in str(run) for sentence in str(two).splitlines())


def test_the_time_is_that_of_the_search_that_is_named(run, data, tmp_path):
    again = mixop.retrain(run.score.found.architecture, SPACE, data, tmp_path / "again", protocol=PROTOCOL, threads=1)
    alone = again.score.found.seconds
    assert train_known(again.out, data, count=1, searched=run.out, threads=1).seconds > alone
    assert read_run(again.out).search is None


def test_as_many_epochs_as_fit_but_no_more_than_do_good(data):
    family = by_hand(data)[0]
    few, some, many = (known.plan(family, 5000, seconds, PROTOCOL, data) for seconds in (1e-9, 1.0, 1e9))
    assert few.size == some.size == many.size > 2
    assert (few.epochs, many.epochs) == (1, known.LONGEST_EPOCHS)
    assert 1 <= some.epochs <= known.LONGEST_EPOCHS
    twice = [known.plan(family, 5000, 1.0, PROTOCOL, data, share=share).epochs for share in (0.01, 1.0)]
    assert twice[0] > twice[1], "a training on fewer examples has more epochs"


def test_what_begins_from_a_supernet_has_no_known_network_trained_by_its_protocol(run, data, tmp_path):
    finetune = replace(PROTOCOLS["finetune"], epochs=1, batch_size=16)
    found = read_run(run.out)
    tuned = mixop.retrain(
        found.native, SPACE, data, tmp_path / "tuned", protocol=finetune, start="supernet", supernet=run.out, threads=1
    )
    train_known(tuned.out, data, count=1, threads=1)
    (place,) = (tuned.out / "known").iterdir()
    assert json.loads((place / "retrain.json").read_text())["protocol"]["name"] == "quick"


def test_what_is_not_there_or_is_another_is_a_sentence(run, data, tmp_path):
    mixop.search(replace(mixop.recipes.darts(epochs=1), batch_size=16), SPACE, data, tmp_path / "bare", threads=1)
    with pytest.raises(RunError, match="no finished training"):
        train_known(tmp_path / "bare", data)
    with pytest.raises(RecipeError, match="at least 1, got 0"):
        train_known(run.out, data, count=0)
    with pytest.raises(MixopError, match="pass them again"):
        train_known(run.out)
    train_known(run.out, data, count=1, threads=1)
    content = json.loads((run.out / "known.json").read_text())
    (run.out / "known.json").write_text(json.dumps({**content, "weights_sha256": "0"}))
    with pytest.raises(RunError, match="stands beside another training"):
        train_known(run.out, data, count=2)
    (planned,) = content["planned"]
    other = {**content, "networks": [], "planned": [{**planned, "family": "AlexNet"}]}
    (run.out / "known.json").write_text(json.dumps(other))
    with pytest.raises(RunError, match="unknown family 'AlexNet'"):
        train_known(run.out, data, count=1)
    (run.out / "known.json").write_text(json.dumps({**content, "planned": []}))
    with pytest.raises(RunError, match=r"known\.json"):
        read_run(run.out)


def test_a_protocol_for_cells_is_taken_without_what_belongs_to_cells():
    plain = known.plainly(PROTOCOLS["nasbench101"])
    assert plain.sized(resnet()) == resnet()
    assert plain.optimiser == PROTOCOLS["nasbench101"].optimiser
