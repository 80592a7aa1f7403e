"""The whole of `find` at a tiny size: what takes part, what is decided once, what limits keep out."""

import json
import os
import signal
from dataclasses import replace
from html import unescape
from random import Random

import pytest
import torch

import mixop
from mixop.core.errors import RecipeError, RunError
from mixop.core.measure import ACCURACY, LOSS
from mixop.data import from_arrays
from mixop.data.core import Data
from mixop.evaluate.protocol import Protocol
from mixop.evaluate.trained import load_network
from mixop.finder.contender import Entry, around, carried
from mixop.finder.costs import Limits
from mixop.finder.find import _minutes, find
from mixop.finder.page import write_found
from mixop.finder.portfolio import _CONVOLUTIONAL, _DARTS, _PLAIN, _RESNET, Member, portfolio, where_to_search
from mixop.finder.run import Finder
from mixop.finder.trainer import Trainer
from mixop.finder.training import protocol_for
from mixop.finder.worth import Worth
from mixop.nets.latency import LatencyTable
from mixop.report.curve import Spot, best_for_each_cost
from mixop.runs.directory import RunDirectory
from mixop.runs.interrupt import InterruptedRunError
from mixop.spaces.sizes import Sizes

MINUTES, EPOCH = 10, 15.0
"""With an epoch of 15 seconds on any machine: two networks in the first round, and 4 epochs, the longest, for the winner."""


_PAYS = Finder._pays


def small_batches(data: Data, epochs: int) -> Protocol:
    """Few examples are several steps."""
    return replace(protocol_for(data, epochs), batch_size=16)


@pytest.fixture(autouse=True, scope="module")
def pace():
    """No decision depends on how fast this machine is; a test that wants a search says so. Few steps make an epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "mixop.finder.trainer.protocol_for", lambda data, epochs: replace(protocol_for(data, epochs), batch_size=16)
        )
        patch.setattr(Trainer, "seconds_per_epoch", lambda self, contender: EPOCH)
        patch.setattr(Finder, "_seconds_per_search_epoch", lambda self, method, space: 1000.0)
        patch.setattr(Finder, "_pays", lambda self, first, last, seconds: True)
        patch.setattr("mixop.finder.trainer.LONGEST_EPOCHS", 4)
        patch.setattr("mixop.finder.plan.ENOUGH_EPOCHS", 1)
        patch.setattr("mixop.finder.run.ENOUGH_EPOCHS", 1)
        yield


def two_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is time for a search of two epochs, which is enough: a fifth of ten minutes."""
    monkeypatch.setattr("mixop.finder.run.FEWEST_SEARCH_EPOCHS", 2)
    monkeypatch.setattr(Finder, "_seconds_per_search_epoch", lambda self, method, space: 60.0)


@pytest.fixture(scope="module")
def signals() -> Data:
    """Synthetic: two classes of short signals that differ in their frequency."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 2
    phase = torch.rand(60, 1, 1, generator=generator) * 6
    x = torch.sin(torch.arange(16.0) * (0.6 + 0.6 * y[:, None, None]) + phase)
    return from_arrays(x.numpy(), y.numpy(), valid=0.4, test_share=0.2)


@pytest.fixture(scope="module")
def grey() -> Data:
    """Synthetic: two classes of grey images of different brightness."""
    y = torch.arange(60) % 2
    x = torch.randn(60, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + y.view(-1, 1, 1, 1)
    return from_arrays(x, y, valid=0.4, test_share=0.2, layout="nchw")


@pytest.fixture(scope="module")
def finished(signals, tmp_path_factory):
    out = tmp_path_factory.mktemp("find") / "out"
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mixop.finder.run.by_heart", lambda *_: False)
        return find(signals, out, minutes=MINUTES, threads=1, tell=told.append), told, signals


def test_the_winner_is_the_best_of_the_last_round_and_its_score_is_an_independent_count(finished):
    result, _, data = finished
    last = [trial for trial in result.trials if trial.round == 2]
    assert result.winner == max(last, key=lambda trial: (trial.measures["accuracy"], -trial.measures["loss"])).label
    at = data.at("test")
    batch = data.batch(at)
    with torch.no_grad():
        right = (result.model(batch.x).argmax(1) == batch.y).double().mean().item()
    assert result.score.networks[0].measures["accuracy"] == pytest.approx(right)
    assert result.score.trained_on.parts == ("train", "valid")
    assert result.score.scored_on.parts == ("test",)
    again = load_network(result.final)
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), result.model.state_dict().values(), strict=True))


def test_a_length_that_does_harm_on_validation_examples_is_not_taken(signals, tmp_path, monkeypatch):
    honest = Trainer._short

    def spoiled(self, number, contender, epochs):
        trial = honest(self, number, contender, epochs)
        return {**trial, "measures": {"accuracy": 0.0, "loss": 9.0}} if number == 3 else trial

    monkeypatch.setattr(Trainer, "_short", spoiled)
    monkeypatch.setattr("mixop.finder.run.by_heart", lambda *_: True)
    result = find(signals, tmp_path / "out", minutes=MINUTES, threads=1)
    rounds = {trial.round: trial for trial in result.trials if trial.label == result.winner}
    assert set(rounds) >= {2, 3}
    assert rounds[3].epochs > rounds[2].epochs == result.score.networks[0].epochs
    assert any("no better" in sentence for sentence in result.sentences)


@pytest.mark.parametrize(("seconds", "checked"), [(EPOCH, True), (300.0, False)])
def test_where_time_is_short_a_network_that_grew_is_not_trained_twice(signals, tmp_path, monkeypatch, seconds, checked):
    """With 4 epochs at most there is time for both, with epochs of five minutes there is not; its longer trial was better."""
    honest = Trainer._short

    def growing(self, number, contender, epochs):
        trial = honest(self, number, contender, epochs)
        return {**trial, "measures": {"accuracy": 0.5 + 0.1 * number, "loss": 1.0}}

    def later(self, contender):
        return seconds if len(self.trials) > 3 else EPOCH

    monkeypatch.setattr(Trainer, "_short", growing)
    monkeypatch.setattr(Trainer, "seconds_per_epoch", later)
    monkeypatch.setattr("mixop.finder.run.by_heart", lambda *_: True)
    result = find(signals, tmp_path / "out", minutes=MINUTES, threads=1)
    assert (3 in {trial.round for trial in result.trials}) == checked


def test_a_network_that_learns_nothing_by_heart_is_trained_at_once_for_as_long_as_there_is_time(finished):
    result, _, _ = finished
    rounds = {trial.round: trial for trial in result.trials if trial.label == result.winner}
    assert 3 not in rounds
    assert result.score.networks[0].epochs > rounds[2].epochs


def test_an_architecture_keeps_its_places_in_a_space_of_another_size():
    """The hidden units of a perceptron are named by their number, which is another one at another width."""
    narrow, wide = (mixop.spaces.mlp(width=width).fit(Sizes((5,), 2)) for width in (32, 64))
    architecture = narrow.random(Random(3))
    moved = carried(architecture, narrow, wide)
    assert moved is not None
    wide.check(moved)
    assert carried(moved, wide, narrow) == architecture
    assert moved.of("blocks.0.inner")[0].option == str(2 * int(architecture.of("blocks.0.inner")[0].option))
    assert carried(architecture, narrow, mixop.spaces.mlp(width=64, ratios=(1,)).fit(Sizes((5,), 2))) is None


def test_a_table_is_searched_too(tmp_path, monkeypatch):
    two_epochs(monkeypatch)
    x = torch.randn(90, 3, generator=torch.Generator().manual_seed(0))
    data = from_arrays(x.numpy(), (x[:, 0] > 0).long().numpy(), valid=0.4, test_share=0.25)
    result = find(data, tmp_path / "out", minutes=MINUTES, threads=1)
    assert "searched" in {trial.origin for trial in result.trials}


def test_a_search_that_training_outweighs_is_not_made_and_that_is_decided_once(signals, tmp_path, monkeypatch):
    two_epochs(monkeypatch)
    monkeypatch.setattr(Finder, "_pays", _PAYS)
    asked = []

    def outweighed(trials, longer, measure, *, left, search, examples):
        assert examples == len(signals.valid)
        asked.append((longer.round, [trial.round for trial in trials], measure.name))
        assert 0 < search < left
        return Worth(training=0.1, searching=0.05)

    monkeypatch.setattr("mixop.finder.run.worth", outweighed)
    result = find(signals, tmp_path / "out", minutes=MINUTES, threads=1)
    assert {trial.origin for trial in result.trials} == {"known"}
    assert not (result.out / "search").exists()
    (said,) = [sentence for sentence in result.sentences if sentence.startswith("No search")]
    assert "gains up to 10.0 points of accuracy, by how " in said
    assert said.endswith("and known networks differ by 5.0 beyond chance.")
    assert find(signals, tmp_path / "out", minutes=MINUTES, threads=1).sentences == result.sentences
    assert asked == [(2, [1, 1], "accuracy")]


def test_where_there_is_no_time_to_compare_the_first_network_with_enough_epochs_is_trained(signals, tmp_path, monkeypatch):
    """3 epochs of two networks do not fit into the first round's 90 seconds, but 24 of the second one into all 600."""
    seconds = {"ResNet 16": 70.0}
    monkeypatch.setattr(Trainer, "seconds_per_epoch", lambda self, contender: seconds.get(contender.label, 25.0))
    result = find(signals, tmp_path / "out", minutes=MINUTES, threads=1)
    assert result.winner == "plain 1-D ResNet 16"
    assert (result.trials, result.verdict) == ((), ())
    assert result.sentences[-2] == (
        "Plan for 10 min 0 s: plain 1-D ResNet 16 is trained for all of it, without a comparison or a search; "
        "about 17 minutes would compare networks."
    )
    assert 3 <= result.score.networks[0].epochs <= 24
    assert not (result.out / "trials").exists()


def test_where_epochs_are_slow_first_convolutions_are_strided(tmp_path, monkeypatch):
    """Of images of 64 pixels. With 270 of 600 seconds left for sure, a plain network wants 24 epochs."""
    asked: list[int] = []

    def seconds(self, contender):
        asked.append(contender.space.arguments.get("stem_stride", 0) if contender.label.startswith("plain") else 0)
        return {0: 1.0, 1: 40.0, 2: 4.0}[asked[-1]]

    monkeypatch.setattr(Trainer, "seconds_per_epoch", seconds)
    monkeypatch.setattr("mixop.finder.trainer.LONGEST_EPOCHS", 1)
    monkeypatch.setattr("mixop.finder.portfolio._OF_IMAGES", ((_PLAIN, 2), (_PLAIN, 4)))
    y = torch.arange(60) % 2
    data = from_arrays(torch.randn(60, 3, 64, 64, generator=torch.Generator().manual_seed(0)), y, valid=0.4, layout="nchw")
    result = find(data, tmp_path / "out", minutes=MINUTES, threads=1)
    assert asked[:2] == [1, 2]
    assert {trial.label for trial in result.trials} == {"plain ResNet 2 /2", "plain ResNet 4 /2"}
    assert result.space.arguments["stem_stride"] == 2
    (said,) = [sentence for sentence in result.sentences if "stride" in sentence]
    assert said == (
        "First convolutions have a stride of 2, which leaves 32x32 of 64x64 positions: with 1, a plain network would have 4 "
        "epochs at the end, and 24 are wanted."
    )
    before = len(asked)
    assert find(data, tmp_path / "out", minutes=MINUTES, threads=1).sentences == result.sentences
    assert len(asked) == before, "it is decided once"


def test_under_a_limit_of_multiply_adds_plain_networks_are_strided_too():
    y = torch.arange(60) % 2
    data = from_arrays(torch.randn(60, 3, 16, 16, generator=torch.Generator().manual_seed(0)), y, valid=0.4, layout="nchw")
    assert {member.family.stride for member in portfolio(data)} == {1}
    cheaper = portfolio(data, cheaper=True)
    assert {member.label for member in cheaper} >= {"plain ResNet 16", "plain ResNet 16 /2", "ResNet 32 /2"}
    assert len({member.label for member in cheaper}) == len(cheaper)
    signals = from_arrays(torch.randn(60, 1, 12), y, valid=0.4, layout="ncl")
    assert portfolio(signals, cheaper=True) == portfolio(signals), "too short"


def test_trials_never_see_the_test_examples(finished):
    result, _, _ = finished
    for place in sorted((result.out / "trials").iterdir()):
        plan = json.loads((place / "retrain.json").read_text())
        assert (plan["train_on"], plan["score_on"]) == (["train"], "valid")


def test_it_tells_what_it_keeps(finished):
    result, told, _ = finished
    assert tuple(told) == result.sentences
    *lines, last = str(result).splitlines()
    assert lines == told
    assert (
        last
        == f"{result.winner} reaches {100 * result.score.networks[0].measures['accuracy']:.1f} % accuracy on 12 test examples."
    )


def test_a_finished_run_is_read_back_and_not_repeated(finished):
    result, _, data = finished
    kept = [path for path in result.out.rglob("*") if path.suffix in (".json", ".jsonl", ".pt", ".safetensors")]
    before = {path: path.stat().st_mtime_ns for path in kept}
    again = find(data, result.out, minutes=MINUTES, threads=1)
    assert again.score == result.score
    assert again.trials == result.trials
    assert again.sentences == result.sentences
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_another_question_is_refused_in_its_directory(finished):
    result, _, data = finished
    with pytest.raises(mixop.MixopError, match="holds another run"):
        find(data, result.out, minutes=MINUTES, seed=1)


def test_with_more_minutes_it_goes_on_from_what_is_there(finished):
    """Both keep their files; the network that won begins, and those that there was no time for come before the others."""
    result, _, data = finished
    files = {path: path.read_bytes() for path in result.out.rglob("*.json")}
    told: list[str] = []
    more = find(data, result.out, minutes=2 * MINUTES, threads=1, tell=told.append)
    assert more.out == result.out / "minutes-20"
    assert all(path.read_bytes() == content for path, content in files.items())
    decided = json.loads((more.out / "decisions.json").read_text())["decisions"]
    order = list(decided["first round"]["epochs"])
    assert order[0] == result.winner
    tried = {trial.label for trial in result.trials}
    assert [label in tried for label in order[1:]] == sorted(label in tried for label in order[1:])
    (said,) = [sentence for sentence in told if f"{result.winner} was the best before, with " in sentence]
    assert said.endswith("and looks at the test examples once more.")
    again: list[str] = []
    assert find(data, result.out, minutes=2 * MINUTES, threads=1, tell=again.append).score == more.score
    assert find(data, result.out, minutes=MINUTES, threads=1).score == result.score
    with pytest.raises(mixop.MixopError, match="holds another run"):
        find(data, result.out, minutes=MINUTES / 2, threads=1)


def test_each_leg_goes_on_from_the_one_that_it_was_begun_after(tmp_path):
    """Whatever was asked for in between: 2 minutes, then 20, then 10, then 30, then 20 again."""

    def begun(place, **asked):
        place.mkdir(exist_ok=True)
        (place / "find.json").write_text(json.dumps(asked))

    run = RunDirectory(tmp_path)
    assert _minutes(run, 2) == [2]
    begun(tmp_path, minutes=2)
    assert _minutes(run, 20) == [2, 20]
    begun(tmp_path / "minutes-20", minutes=20, after=2)
    assert _minutes(run, 10) == [2, 10]
    begun(tmp_path / "minutes-10", minutes=10, after=2)
    assert _minutes(run, 30) == [2, 20, 30]
    assert _minutes(run, 20) == [2, 20]
    assert _minutes(run, 1) == [1], "which the directory refuses"


class _Stop(Exception):
    pass


def test_a_run_that_is_stopped_anywhere_goes_on_with_what_it_decided_and_keeps_its_limit(signals, tmp_path):
    """Whatever it had decided before stands, word for word, in the end."""
    out = tmp_path / "out"
    seen: dict[str, object] = {}
    for stop in (1, 4, 9, 30):
        steps = 0

        def observe(record, stop=stop):
            nonlocal steps
            steps += 1
            if steps > stop:
                raise _Stop

        with pytest.raises(_Stop):
            find(signals, out, minutes=MINUTES, threads=1, max_params=3000, observe=observe)
        decided = json.loads((out / "decisions.json").read_text())["decisions"] if (out / "decisions.json").exists() else {}
        assert seen.items() <= decided.items()
        seen = decided
    result = find(signals, out, minutes=MINUTES, threads=1, max_params=3000)
    assert seen.items() <= json.loads((out / "decisions.json").read_text())["decisions"].items()
    assert len({(trial.round, trial.label) for trial in result.trials}) == len(result.trials)
    assert sum(p.numel() for p in result.model.parameters()) <= 3000
    assert all(trial.parameters <= 3000 for trial in result.trials)
    assert any("at most 3,000 parameters" in sentence for sentence in result.sentences)


def test_a_limit_that_nothing_keeps_is_a_sentence(signals, tmp_path):
    with pytest.raises(RecipeError, match=r"No known network keeps the limits: .* allow more"):
        find(signals, tmp_path / "out", minutes=MINUTES, max_flops=10)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_what_a_network_was_measured_to_take_holds_after_an_interruption(signals, tmp_path, monkeypatch):
    """A latency is another one every time; a network that takes part must not drop out when the run goes on."""
    slower = iter(range(1, 10_000))
    monkeypatch.setattr("mixop.finder.costs._latency", lambda net, example: float(next(slower)))

    def observe(record):
        raise _Stop

    with pytest.raises(_Stop):
        find(signals, tmp_path / "out", minutes=MINUTES, threads=1, max_latency_ms=50, observe=observe)
    for _ in range(60):
        next(slower)
    result = find(signals, tmp_path / "out", minutes=MINUTES, threads=1, max_latency_ms=50)
    assert all(trial.latency_ms is not None and trial.latency_ms <= 50 for trial in result.trials)


def test_what_is_searched_is_half_as_wide_as_what_is_built():
    cells, network = Member(_RESNET, 16), Member(_CONVOLUTIONAL, 16)
    assert around(cells, 8) == mixop.spaces.nasbench201(channels=8, cells=1)
    names = [group.name for group in around(network, 16).fit(Sizes((1, 21), 2)).groups]
    assert [group.name for group in around(network, 8).fit(Sizes((1, 21), 2)).groups] == names


@pytest.mark.parametrize("length", [21, 24])
def test_signals_of_any_length_have_known_networks_and_a_space_to_search(length):
    """Cells halve their inputs twice, which 21 steps do not allow."""
    data = from_arrays(torch.randn(40, 1, length, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 2)
    members = portfolio(data)
    assert {member.family.label for member in members} >= {"plain 1-D ResNet"}
    assert (_RESNET in {member.family for member in members}) == (length == 24)
    for best in (members, members[-1:]):
        near = where_to_search(best)
        assert near is not None
        assert around(near, 4).fit(data).size() >= 27


def test_what_a_search_found_is_made_narrower_until_it_keeps_the_limits(signals):
    near = Member(_CONVOLUTIONAL, 16)
    narrow = around(near, 8).fit(signals)
    architecture = narrow.random(Random(0))
    free, _ = Entry(signals, Limits()).found("found", "searched", near, architecture, narrow)
    tight, _ = Entry(signals, Limits(parameters=3000)).found("found", "searched", near, architecture, narrow)
    assert free is not None
    assert tight is not None
    assert (free.size, free.architecture) == (16, architecture)
    assert tight.cost.parameters <= 3000 < free.cost.parameters
    assert tight.size < 16
    none, why = Entry(signals, Limits(parameters=10)).found("found", "searched", near, architecture, narrow)
    assert none is None
    assert "parameters where 10 are allowed" in why


def test_a_size_that_a_family_cannot_have_stays_out(grey):
    """Three channels cannot be halved by a DARTS cell: the largest that keeps a limit is looked for among the others."""
    found, why = Entry(grey, Limits(parameters=100)).largest(_DARTS)
    assert found is None
    assert "where 100 are allowed" in why
    assert Entry(grey, Limits()).member(Member(_DARTS, 3)) == (None, _why_odd())


def _why_odd() -> str:
    with pytest.raises(mixop.MixopError) as caught:
        mixop.spaces.darts(channels=3)
    return str(caught.value)


def test_with_a_table_the_limit_is_that_of_another_device(signals, tmp_path, monkeypatch):
    """On it a layer takes as many milliseconds as it has weights."""

    monkeypatch.setattr(LatencyTable, "sum", lambda _, net, x: sum(p.numel() for p in net.parameters()))
    table = LatencyTable(device="a phone", layers={"x": 1.0}, fixed=500.0, scale=2.0, error=0.07, networks=8)
    result = find(signals, tmp_path / "out", minutes=MINUTES, threads=1, max_latency_ms=9000, latency=table)
    assert any(s.startswith("Milliseconds are those of a phone; its table is off by 7 %") for s in result.sentences)
    for trial in result.trials:
        assert trial.latency_ms == 500 + 2 * trial.parameters <= 9000
    parameters = result.score.networks[0].parameters
    assert f"{500 + 2 * parameters:,} of at most 9,000 ms" in " ".join(result.sentences)
    again = find(signals, tmp_path / "out", minutes=MINUTES, threads=1, max_latency_ms=9000, latency=table)
    assert again.trials == result.trials
    with pytest.raises(RunError, match="latency"):
        find(signals, tmp_path / "out", minutes=MINUTES, threads=1, max_latency_ms=9000)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"minutes": 0}, "minutes must be greater than 0"),
        ({"minutes": "1"}, "minutes must be a number"),
        ({"max_params": -1}, "most parameters must be greater than 0"),
        ({"max_flops": "many"}, "max_flops must be a number"),
        ({"recipe": "dart"}, "did you mean 'darts'"),
        ({"latency": LatencyTable(device="d", layers={})}, "give max_latency_ms"),
        ({"max_latency_ms": 1, "latency": "nowhere.json"}, "Cannot read the latency table 'nowhere.json'"),
        ({"max_latency_ms": 1, "latency": LatencyTable(device="d", layers={})}, "table of d lacks .*Conv1d"),
    ],
)
def test_wrong_arguments_are_sentences_and_leave_nothing(wrong, said, signals, tmp_path):
    with pytest.raises(mixop.MixopError, match=said):
        find(signals, tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_beside_a_network_for_a_table_stands_gradient_boosting(tmp_path):
    x = torch.randn(80, 3, generator=torch.Generator().manual_seed(0))
    data = from_arrays(x.numpy(), (x[:, 0] > 0).long().numpy(), valid=0.4, test_share=0.25)
    result = find(data, tmp_path / "out", minutes=MINUTES, threads=1)
    assert result.sentences[-1].startswith("Gradient boosting (scikit-learn, with its defaults) reaches ")
    assert result.verdict[-1] == result.sentences[-1]
    alone = find(data, tmp_path / "alone", minutes=MINUTES, threads=1, beside=False)
    assert alone.sentences == result.sentences[:-1]


def test_ctrl_c_is_a_sentence_that_says_how_to_go_on(signals, tmp_path):
    def observe(record):
        if record.get("event") == "step":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedRunError, match=r"all progress saved in .*the same command continues"):
        find(signals, tmp_path / "out", minutes=MINUTES, threads=1, observe=observe)


def test_the_first_method_that_there_is_time_for_searches_and_takes_part(signals, tmp_path, monkeypatch):
    monkeypatch.setattr("mixop.finder.run.FEWEST_SEARCH_EPOCHS", 2)
    seconds = {"gaea": 1000.0, "dsnas": 60.0}
    monkeypatch.setattr(Finder, "_seconds_per_search_epoch", lambda self, method, space: seconds[method])
    result = find(signals, tmp_path / "out", minutes=MINUTES, threads=1)
    assert any(sentence.startswith("dsnas searched ") and "for 2 epochs" in sentence for sentence in result.sentences)
    last = {trial.origin: trial for trial in result.trials if trial.round == 2}
    assert last.keys() >= {"known", "searched"}
    assert len(result.verdict) >= 2
    page = unescape(write_found(tmp_path / "out").read_text())
    assert all(sentence in page for sentence in result.sentences)
    for trial in result.trials:
        assert f"{trial.parameters:,}" in page
        assert trial.label in page
    assert page.count("<svg") == 2, "one for each cost that was measured"
    assert f"{result.winner} reaches" in page


def test_several_short_searches_go_before_a_long_one(signals, tmp_path, monkeypatch):
    monkeypatch.setattr("mixop.finder.run.FEWEST_SEARCH_EPOCHS", 1)
    monkeypatch.setattr(Finder, "_seconds_per_search_epoch", lambda self, method, space: 24.0)
    result = find(signals, tmp_path / "out", minutes=MINUTES, threads=1, recipe="dsnas")
    said = [sentence for sentence in result.sentences if sentence.startswith("dsnas searched")]
    assert [sentence.partition(" for ")[2] for sentence in said] == ["2 epochs.", "2 epochs, with seed 1."]
    runs = [RunDirectory(tmp_path / "out" / name) for name in ("search", "search-2")]
    assert [run.read_json("settings.json")["seed"] for run in runs] == [0, 1]
    found = {run.read_json("architecture.json")["native"] for run in runs}
    last = [trial.label for trial in result.trials if trial.round == 2 and trial.origin == "searched"]
    assert last
    assert len(last) <= len(found)
    assert find(signals, tmp_path / "out", minutes=MINUTES, threads=1, recipe="dsnas").trials == result.trials
    # Version 1.0.0 wrote one value more.
    decided = json.loads((tmp_path / "out" / "decisions.json").read_text())
    decided["decisions"]["searches"].insert(3, False)
    (tmp_path / "out" / "decisions.json").write_text(json.dumps(decided))
    assert find(signals, tmp_path / "out", minutes=MINUTES, threads=1, recipe="dsnas").trials == result.trials


@pytest.mark.parametrize(("pace", "searches"), [(3.0, 0), (1.9, 1), (1.7, 2)])
def test_as_many_searches_are_made_as_can_be_compared_by_ten_epochs(pace, searches, signals, tmp_path, monkeypatch):
    """The last round has 90 seconds for two known networks, what is found, and a random one."""
    for place in ("plan", "run"):
        monkeypatch.setattr(f"mixop.finder.{place}.ENOUGH_EPOCHS", 10)
    monkeypatch.setattr("mixop.finder.run.FEWEST_SEARCH_EPOCHS", 1)
    monkeypatch.setattr("mixop.finder.trainer.LONGEST_EPOCHS", 1)
    monkeypatch.setattr(Finder, "_seconds_per_search_epoch", lambda self, method, space: 24.0)
    monkeypatch.setattr(Trainer, "seconds_per_epoch", lambda self, contender: pace)
    result = find(signals, tmp_path / "out", minutes=MINUTES, threads=1, recipe="dsnas")
    assert sum(sentence.startswith("dsnas searched") for sentence in result.sentences) == searches
    lacks = "No time for a search of 1 epochs and for comparing what it finds: about 14 minutes would have it."
    assert (lacks in result.sentences) == (not searches)


def test_what_a_supernet_found_that_learnt_nothing_stays_out(signals, tmp_path, monkeypatch):
    two_epochs(monkeypatch)
    monkeypatch.setattr("mixop.finder.run.ignorance", lambda run: ["The supernet knew nothing."])
    result = find(signals, tmp_path / "out", minutes=MINUTES, threads=1, recipe="dsnas")
    assert "What it found stays out. The supernet knew nothing." in result.sentences
    assert not any(trial.origin in ("searched", "random") for trial in result.trials)


def test_an_unfinished_run_has_no_page(signals, tmp_path):
    def observe(record):
        raise _Stop

    with pytest.raises(_Stop):
        find(signals, tmp_path / "out", minutes=MINUTES, threads=1, observe=observe)
    with pytest.raises(RunError, match="is not finished: the same mixop find goes on"):
        write_found(tmp_path / "out")


def test_the_best_for_each_cost_are_those_that_no_cheaper_network_equals():
    given = (("a", 1, 0.5), ("b", 2, 0.4), ("c", 2, 0.6), ("d", 3, 0.6))
    spots = [Spot(name, "known", cost, score) for name, cost, score in given]
    assert [spot.label for spot in best_for_each_cost(spots, ACCURACY)] == ["a", "c"]
    assert [spot.label for spot in best_for_each_cost(spots, LOSS)] == ["a", "b"]
