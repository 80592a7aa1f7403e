"""Retraining against a loop written by hand, exact resume, and everything that can go wrong on the way."""

import json
import math
import os
import random
import re
import signal
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from killed import kill_after
from recurrent import DRY, fill
from torch import nn
from torch.nn.functional import cross_entropy, log_softmax

from mixop.core.errors import DataError, DivergedError, RecipeError, RunError, SpaceError
from mixop.core.optim import SGD, Adam
from mixop.core.rng import generators
from mixop.core.schedules import Constant, Cosine
from mixop.data import digits, from_arrays, from_tokens
from mixop.data.examples import Arrays
from mixop.data.images.augment import Augment
from mixop.engine.settings import Settings
from mixop.evaluate.protocol import PROTOCOLS, Protocol, protocol_to_json
from mixop.evaluate.retrain import Retraining, random_architectures
from mixop.evaluate.score import evaluate_network
from mixop.evaluate.trained import load_network, read_score
from mixop.evaluate.training import GENERATORS, TrainingState
from mixop.nets.discrete import build
from mixop.nets.modules.choice import Choice, InputChoice
from mixop.nets.modules.space import in_module
from mixop.runs import checkpoint
from mixop.runs.directory import RunDirectory
from mixop.runs.identity import binding
from mixop.runs.interrupt import InterruptedRunError
from mixop.runs.records import SearchRecord, to_record
from mixop.spaces import CellSpace, DartsRnn, Sizes, nasbench201
from mixop.spaces.describe import describe_space
from mixop.spaces.published import DARTS_RNN_V2

PROTOCOL = Protocol(
    name="tiny", epochs=3, batch_size=8, optimiser=SGD(lr=Cosine(0.1, 0.0), nesterov=True), label_smoothing=0.1, clip=1.0
)
OFTEN = Settings(seed=5, checkpoint_seconds=0)


@pytest.fixture
def make(tiny_data, tiny_space, tmp_path):
    """Builds a retraining of two networks in a directory of that name."""

    def make(out="run", *, protocol=PROTOCOL, labels=("found", "random 1"), data=tiny_data, observe=None, settings=OFTEN):
        options = {"found": (2, 1, 2), "random 1": (1, 2, 0)}
        networks = [(label, tiny_space.architecture([options[label]])) for label in labels]
        retraining = Retraining(networks, tiny_space, data, protocol, RunDirectory(tmp_path / out), settings, observe)
        with retraining.run_directory.locked():
            retraining.claim()
        return retraining

    return make


def outcome(run):
    """Everything that a retraining leaves, but for the clock."""
    score = read_score(run)
    networks = [replace(network, seconds=0.0) for network in score.networks]
    records = [replace(record, seconds=0.0) for record in run.records()]
    return (run / "weights.safetensors").read_bytes(), replace(score, networks=tuple(networks)), records


def test_a_retraining_is_this_loop(make, tiny_data, tiny_space):
    job = make()
    job.run()
    random = generators(5, GENERATORS)
    net = build(tiny_space.architecture([(2, 1, 2)]), tiny_space, generator=random["init"])
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=3e-4, nesterov=True)
    both = torch.cat([tiny_data.train, tiny_data.valid])
    losses = []
    for epoch in range(3):
        for group in optimiser.param_groups:
            group["lr"] = 0.05 * (1 + math.cos(math.pi * epoch / 3))
        order = both[torch.randperm(36, generator=random["order"])]
        total = 0.0
        for batch in order.split(8):
            x, y, _ = tiny_data.augmented(batch, random["augment"])
            logits = net(x)
            loss = cross_entropy(logits, y, label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            total += cross_entropy(logits, y).item() * len(batch)  # records hold the task's loss, without smoothing
        losses.append(total / 36)
    weights = safetensors.torch.load_file(job.run_directory / "weights.safetensors")
    assert weights.keys() == net.state_dict().keys()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(weights[name], value)  # float32 defaults: the optimiser may sum in another order
    records = [record for record in job.run_directory.records() if record.label == "found"]
    assert [record.train["loss"] for record in records] == pytest.approx(losses, rel=1e-5)
    assert [record.learning_rate for record in records] == pytest.approx([0.1, 0.075, 0.025])
    by_hand = evaluate_network(net, tiny_data)
    assert read_score(job.run_directory).networks[0].measures["loss"] == pytest.approx(by_hand.measures["loss"], rel=1e-4)


def test_label_smoothing_is_its_closed_form(make, tiny_data, tiny_space):
    smoothing = 0.3
    protocol = replace(PROTOCOL, epochs=1, batch_size=36, label_smoothing=smoothing, crop=0, flip=False)
    job = make(protocol=protocol)
    batch = tiny_data.batch(tiny_data.at("train", "valid"))
    loss = job.state.backward(batch, protocol)
    net = build(tiny_space.architecture([(2, 1, 2)]), tiny_space, generator=generators(5, GENERATORS)["init"])
    log_p = log_softmax(net(batch.x).double(), -1)
    target = torch.full_like(log_p, smoothing / 3)
    target[torch.arange(36), batch.y] += 1 - smoothing
    assert loss.item() == pytest.approx(-(target * log_p).sum(-1).mean().item(), rel=1e-5)  # float32


def test_digits_are_learnt_and_the_score_is_an_independent_count(tmp_path):
    data = digits()
    space = nasbench201(channels=4, cells=1).fit(Sizes((1, 8, 8), 10))
    found = space.from_index(1462)
    protocol = replace(PROTOCOL, epochs=3, batch_size=32, label_smoothing=0.0)
    run = RunDirectory(tmp_path / "run")
    job = Retraining([("found", found)], space, data, protocol, run, Settings(seed=0))
    with job.run_directory.locked():
        job.claim()
    score = job.run()
    accuracy = score.networks[0].measures["accuracy"]
    assert accuracy > 0.8
    records = run.records()
    assert records[-1].train["loss"] < records[0].train["loss"] / 2
    net = load_network(run.path)
    assert not net.training
    with torch.no_grad():
        answers = [int(net(data.batch(at[None]).x).argmax()) for at in data.test]
    labels = data.targets("test")
    right = sum(answer == int(label) for answer, label in zip(answers, labels, strict=True))
    assert accuracy == right / len(data.test)
    assert (score.scored_on.words, score.trained_on.words) == ("359 test examples", "1,438 training examples")
    assert sum(map(sum, score.confusion)) == len(data.test)
    assert sum(score.confusion[k][k] for k in range(10)) == right
    assert [sum(row) for row in score.confusion] == torch.bincount(labels).tolist()


def test_what_is_written_is_complete(make, tiny_data, tiny_space):
    seen = []
    job = make(observe=seen.append)
    score = job.run()
    run = job.run_directory
    assert score == read_score(run)
    assert [entry.label for entry in score.networks] == ["found", "random 1"]
    for entry, (_, architecture) in zip(score.networks, job.networks, strict=True):
        assert entry.architecture == tiny_space.to_native(architecture)
        assert entry.parameters == sum(p.numel() for p in build(architecture, tiny_space).parameters())
        assert (entry.epochs, entry.seed) == (3, 5)
        assert entry.seconds > 0
    # Stem 1 -> 4, two 3x3 convolutions 4 -> 4 on 4x4 pixels, classifier 4 -> 3; the other has one convolution.
    assert [entry.flops for entry in score.networks] == [16 * 36 + 2 * 16 * 144 + 12, 16 * 36 + 16 * 144 + 12]
    assert score.classes == ("0", "1", "2")
    assert score.protocol == protocol_to_json(PROTOCOL)
    mean, std = tiny_data.augment.mean, tiny_data.augment.std
    assert score.input == {"shape": [1, 4, 4], "tokens": False, "mean": list(mean), "std": list(std)}
    assert run.read_json("architecture.json")["native"] == score.networks[0].architecture
    assert run.read_json("data.json")["fingerprint"] == tiny_data.fingerprint
    steps = [record for record in seen if record.get("event") == "step"]
    assert [(r["label"], r["epoch"], r["step"]) for r in steps] == [
        (label, epoch, step) for label in ("found", "random 1") for epoch in (1, 2, 3) for step in (1, 2, 3, 4, 5)
    ]
    assert {(r["phase"], r["epochs"], r["steps"]) for r in steps} == {("retrain", 3, 5)}
    assert [record for record in seen if "event" not in record] == [to_record(record) for record in run.records()]
    assert set(run.records()[0].train) == {"accuracy", "loss"}


def test_only_the_architecture_differs_between_the_networks(make):
    for labels in (("found",), ("random 1", "found")):
        make("+".join(labels), labels=labels).run()
    alone, after = (make("+".join(labels), labels=labels) for labels in (("found",), ("random 1", "found")))
    weights = [(job.run_directory / "weights.safetensors").read_bytes() for job in (alone, after)]
    assert weights[0] == weights[1]


def test_the_test_set_takes_no_part_in_training(make, tiny_data):
    x, y = tiny_data.examples.x.clone(), tiny_data.examples.targets
    x[tiny_data.test] = x[tiny_data.test].flip(0) * 3
    other = replace(tiny_data, examples=Arrays(x, y))
    one, two = make("one"), make("two", data=other)
    scores = [one.run(), two.run()]
    weights = [(job.run_directory / "weights.safetensors").read_bytes() for job in (one, two)]
    assert weights[0] == weights[1]
    assert scores[0].networks[0].measures["loss"] != scores[1].networks[0].measures["loss"]


def test_adam_trains_as_well(make):
    score = make(protocol=replace(PROTOCOL, optimiser=Adam(lr=0.01))).run()
    assert all(0 <= entry.measures["accuracy"] <= 1 for entry in score.networks)


@pytest.mark.parametrize(
    ("at", "signum"),  # of 30 steps: the first, the end of an epoch, of a network and of everything, and their neighbours
    [
        (1, signal.SIGINT),
        pytest.param(5, signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(14, signal.SIGINT, marks=pytest.mark.slow),
        (15, signal.SIGTERM),
        pytest.param(16, signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(29, signal.SIGINT, marks=pytest.mark.slow),
        (30, signal.SIGTERM),
    ],
)
def test_an_interrupted_retraining_goes_on_bit_for_bit(make, at, signum):
    whole = make("whole")
    whole.run()
    steps = 0

    def interrupt(record):
        nonlocal steps
        if record.get("event") == "step":
            steps += 1
            if steps == at:
                os.kill(os.getpid(), signum)

    settings = replace(OFTEN, checkpoint_seconds=1000)  # saved because of the signal, not of the time
    torn = make("torn", observe=interrupt, settings=settings)
    with pytest.raises(InterruptedRunError, match=r"all progress saved: mixop resume .*torn") as caught:
        torn.run()
    assert caught.value.signum == signum
    assert steps == at
    again = make("torn")
    again.run()
    assert outcome(again.run_directory) == outcome(whole.run_directory)


def test_two_interruptions_and_a_lost_checkpoint_change_nothing(make):
    whole = make("whole")
    whole.run()
    count = 0

    def stop(record):
        nonlocal count
        count += 1
        if count in (4, 13):
            os.kill(os.getpid(), signal.SIGINT)

    for _ in range(2):
        with pytest.raises(InterruptedRunError):
            make("torn", observe=stop).run()
    state = make("torn").run_directory / "retrain.pt"
    state.unlink()  # as if killed between the two renames: the one before is gone on from
    job = make("torn")
    job.run()
    assert outcome(job.run_directory) == outcome(whole.run_directory)


def retrain_two(out, observe=lambda record: None):
    """Trains two networks for 48 steps, saving after each."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 3
    x = torch.randn(60, 1, 4, 4, generator=generator) + y.view(-1, 1, 1, 1)
    data = from_arrays(x, y, layout="nchw", augment=Augment(crop=1, flip=True, cutout=1))
    space = CellSpace(
        operations=("none", "skip_connect", "nor_conv_3x3"),
        nodes=3,
        channels=4,
        cells=1,
        stages=1,
        input_shape=(1, 4, 4),
        outputs=3,
    )
    networks = [("random 1", space.architecture([(2, 2, 1)])), ("found", space.architecture([(2, 1, 2)]))]
    protocol = Protocol(name="tiny", epochs=4, batch_size=8, optimiser=SGD())
    job = Retraining(networks, space, data, protocol, RunDirectory(out), Settings(checkpoint_seconds=0), observe)
    with job.run_directory.locked():
        job.claim()
    job.run()


def test_a_retraining_killed_at_random_steps_ends_bit_for_bit_like_one_left_alone(tmp_path):
    rng, whole, torn = random.Random(7), tmp_path / "whole", tmp_path / "torn"
    retrain_two(whole)
    for records in (3, 23):  # of 56; the second crosses from one network to the next
        kill_after(records, retrain_two, torn, pause=rng.random() * 0.01)
        assert not (torn / "score.json").exists()
    retrain_two(torn)
    assert outcome(RunDirectory(torn)) == outcome(RunDirectory(whole))


def test_a_finished_retraining_is_returned_and_not_repeated(make):
    score = make().run()

    def never(record):
        raise AssertionError("it was repeated")

    assert make(observe=never).run() == score


def test_a_retraining_can_be_read_from_its_directory(make, tiny_space, tiny_data):
    def stop(record):
        os.kill(os.getpid(), signal.SIGINT)

    job = make(observe=stop)
    with pytest.raises(InterruptedRunError):
        job.run()
    again = Retraining.of(job.run_directory, tiny_space, tiny_data, Settings(seed=99))
    assert again.identity() == job.identity()
    with again.run_directory.locked():
        assert again.claim() is True
    assert len(again.run().networks) == 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"protocol": replace(PROTOCOL, epochs=4)}, r"retrain\.protocol\.epochs is 3 there and 4 now"),
        ({"settings": Settings(seed=6)}, r"retrain\.seed is 5 there and 6 now"),
        ({"labels": ("found",)}, r"retrain\.networks is \[\["),
        ({"labels": ("random 1", "found")}, r'retrain\.networks\[0\]\[0\] is "found" there and "random 1" now'),
    ],
)
def test_another_retraining_is_refused_with_the_difference(make, change, sentence):
    (make().run_directory / "retrain.pt").touch()
    with pytest.raises(RunError, match=f"holds another run: {sentence}"):
        make(**change)


def test_other_augmentation_or_data_is_another_retraining(make, tiny_data):
    (make().run_directory / "retrain.pt").touch()
    with pytest.raises(RunError, match=r"data\.augment\.crop is 1 there and 0 now"):
        make(data=tiny_data.with_augment(replace(tiny_data.augment, crop=0)))
    with pytest.raises(RunError, match="holds a run on other data"):
        make(data=replace(tiny_data, examples=Arrays(tiny_data.examples.x + 1, tiny_data.examples.targets)))


def test_a_searchs_directory_keeps_its_files_and_must_have_found_the_architecture(make, tiny_space, tiny_data, tmp_path):
    source, search = make("source").run_directory, RunDirectory(tmp_path / "search")
    identity = {
        "recipe.json": {"name": "darts"},
        "space.json": describe_space(tiny_space.fit(tiny_data)),
        "settings.json": {"seed": 77},
        "data.json": tiny_data.describe(),
    }
    with search.locked():
        search.claim(identity)
    bound = {"bound_to": binding(identity)}
    rates = {"learning_rate": 0.1, "architecture_rate": 0.0, "entropy": None, "skip_share": None}
    measured = {"train": {"loss": 1.0}, "valid": {}, "mix": {}, "architecture": ""}
    search.append(to_record(SearchRecord(epoch=1, epochs=1, seconds=1.0, **rates, **measured)))
    with pytest.raises(RunError, match=r"The search of .*search is not finished: mixop resume"):
        make("search")
    other = {**source.read_json("architecture.json"), **bound, "native": "|none~0|+|none~0|none~1|"}
    search.write_json("architecture.json", other)
    with pytest.raises(RunError, match=r'architecture\.native is "\|none~0\|.* there and "\|nor_conv_3x3~0\|.* now'):
        make("search")
    search.write_json("architecture.json", {**source.read_json("architecture.json"), **bound})
    job = make("search")
    job.run()
    assert search.read_json("settings.json") == {"seed": 77}
    records = search.records()
    assert [record.phase for record in records] == ["search"] + ["retrain"] * 6


def test_a_directory_with_something_else_in_it_is_refused(make, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match="is not empty and is not a run"):
        make()


@pytest.mark.parametrize("content", ["{}", "[]", '{"protocol": {"type": "Protocol"}, "networks": [], "seed": 0}', '{"pro'])
def test_a_damaged_plan_is_named(make, tiny_space, tiny_data, content):
    run = make().run_directory
    (run / "retrain.json").write_text(content)
    with pytest.raises(RunError, match=r"retrain\.json .*(incomplete|torn)"):
        Retraining.of(run, tiny_space, tiny_data, OFTEN)


def test_a_loss_that_leaves_the_numbers_stops_and_keeps_the_last_good_state(make):
    job = make(protocol=replace(PROTOCOL, optimiser=SGD(lr=1e20), clip=0.0))
    with pytest.raises(DivergedError, match=r"of network 'found' became (nan|inf) in epoch 1: try a smaller learning rate"):
        job.run()
    saved = checkpoint.load(job.run_directory / "retrain.pt")
    assert 1 <= saved["training"]["at"][1] < 5
    assert not (job.run_directory / "score.json").exists()
    assert not (job.run_directory / "weights.safetensors").exists()


def test_a_network_that_is_lost_by_its_last_step_is_not_scored(make):
    with pytest.raises(DivergedError, match="The loss on the test part of network 'found' became nan in epoch 1"):
        make(protocol=replace(PROTOCOL, epochs=1, batch_size=36, optimiser=SGD(lr=1e38, momentum=0.0), clip=0.0)).run()


def test_a_torn_checkpoint_is_refused_and_the_one_before_is_a_way_out(make):
    whole = make("whole")
    whole.run()
    steps = 0

    def stop(record):
        nonlocal steps
        steps += 1
        if steps == 7:
            os.kill(os.getpid(), signal.SIGINT)

    job = make("torn", observe=stop)
    with pytest.raises(InterruptedRunError):
        job.run()
    state = job.run_directory / "retrain.pt"
    state.write_bytes(state.read_bytes()[:-9])
    with pytest.raises(RunError, match=r"retrain\.pt is torn or was changed.*move it over retrain\.pt"):
        make("torn").run()
    checkpoint.previous(state).replace(state)
    again = make("torn")
    again.run()
    assert outcome(again.run_directory) == outcome(whole.run_directory)


def test_a_checkpoint_of_something_else_is_refused(make):
    job = make()
    checkpoint.save(job.run_directory / "retrain.pt", {"search": {}})
    with pytest.raises(RunError, match=r"retrain\.pt does not say which run it belongs to"):
        job.run()


def test_lost_metrics_are_noticed(make):
    steps = 0

    def stop(record):
        nonlocal steps
        steps += 1
        if steps == 9:
            os.kill(os.getpid(), signal.SIGINT)

    job = make(observe=stop)
    with pytest.raises(InterruptedRunError):
        job.run()
    job.run_directory.metrics.write_bytes(b"")
    with pytest.raises(RunError, match="has lost lines since the checkpoint"):
        make().run()


def test_what_does_not_fit_is_refused_before_anything_is_written(make, tiny_data, tiny_space, tmp_path):
    run = RunDirectory(tmp_path / "run")
    found = tiny_space.architecture([(2, 1, 2)])
    with pytest.raises(DataError, match="batch of 37 is larger than the training split of 36 examples"):
        make(protocol=replace(PROTOCOL, batch_size=37))
    with pytest.raises(DataError, match="cutout must be smaller than the image"):
        make(protocol=replace(PROTOCOL, cutout=4))
    with pytest.raises(SpaceError, match="outputs is 5, but the data has 3"):
        Retraining([("found", found)], replace(tiny_space, outputs=5), tiny_data, PROTOCOL, run, OFTEN)
    with pytest.raises(RecipeError, match="one of them 'found'"):
        Retraining([("random 1", found)], tiny_space, tiny_data, PROTOCOL, run, OFTEN)
    with pytest.raises(RecipeError, match="different labels"):
        Retraining([("found", found), ("found", found)], tiny_space, tiny_data, PROTOCOL, run, OFTEN)
    assert not run.path.exists()


def test_random_architectures_are_distinct_and_leave_the_found_one_out(tiny_space):
    found = tiny_space.architecture([(2, 1, 2)])
    drawn = random_architectures(tiny_space, 26, 0, but=found)
    assert set(drawn) == set(tiny_space.architectures()) - {found}
    assert random_architectures(tiny_space, 5, 3, but=found) == random_architectures(tiny_space, 5, 3, but=found)
    assert random_architectures(tiny_space, 5, 3, but=found) != random_architectures(tiny_space, 5, 4, but=found)
    assert random_architectures(tiny_space, 3, 3, but=found) == random_architectures(tiny_space, 5, 3, but=found)[:3]
    assert random_architectures(tiny_space, 0, 0, but=found) == []


class Two(nn.Module):
    """Two of three inputs, and a choice inside an option: 3 x 3 architectures."""

    def __init__(self):
        super().__init__()
        inner = Choice([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.outer = Choice({"deep": nn.Sequential(inner), "skip": nn.Identity()})
        self.pick = InputChoice(3, keep=2)

    def forward(self, x):
        return self.pick(x, self.outer(x), 2 * x)


def test_decisions_that_are_dropped_by_right_are_no_reason_to_count_one_more():
    space = in_module(Two(), torch.zeros(2, 4))
    for found in space.architectures():
        assert set(random_architectures(space, 8, 0, but=found)) == set(space.architectures()) - {found}
        with pytest.raises(RecipeError, match="must be 0 to 8 in this space, got 9"):
            random_architectures(space, 9, 0, but=found)


@pytest.mark.parametrize("count", [27, -1])
def test_more_random_architectures_than_there_are_are_refused(tiny_space, count):
    with pytest.raises(RecipeError, match=re.escape(f"must be 0 to 26 in this space, got {count}")):
        random_architectures(tiny_space, count, 0, but=tiny_space.architecture([(2, 1, 2)]))


def test_pixels_of_whole_numbers_train_like_their_share_of_255(make):
    generator = torch.Generator().manual_seed(1)
    y = torch.arange(45) % 3
    whole = torch.randint(0, 256, (45, 1, 4, 4), generator=generator, dtype=torch.uint8)
    augment = Augment(crop=1, mean=(0.5,), std=(0.25,))
    scores = []
    for name, x in (("uint8", whole), ("float", whole.float() / 255)):
        data = from_arrays(x, y, valid=0.5, test_share=0.2, layout="nchw", augment=augment)
        scores.append(make(name, data=data).run().networks[0])
    assert scores[0].measures["loss"] == pytest.approx(scores[1].measures["loss"], rel=1e-3)  # float32, 15 steps


def test_the_score_is_plain_json(make):
    job = make()
    job.run()
    text = (job.run_directory / "score.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == job.run_directory.read_json("score.json")


def test_images_are_trained_with_their_channels_last(tmp_path):
    space = nasbench201(channels=4, cells=1)
    networks = [("found", space.random(random.Random(0)))]
    job = Retraining(networks, space, digits(), PROTOCOLS["quick"], RunDirectory(tmp_path), Settings())
    weights = [p for p in job.state.net.parameters() if p.dim() == 4 and min(p.shape[1:]) > 1]
    assert weights
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)


def test_steps_on_a_text_are_those_of_the_authors_code(tmp_path, monkeypatch):
    """Six of ``darts-ptb`` without dropout, in float64: carried states, rates by length, decay, clipping, both added losses.

    The numbers are those of the training loop of quark0/darts (rnn/train.py) on the same text, windows and weights.
    """
    at = torch.arange(91)
    text = (at * at + 3 * (at // 4) + at // 7) % 7
    sizes = {"hidden": 4, "slowness": 0.5, "activation": 0.1, **DRY}
    optimiser = SGD(lr=Constant(2.0), momentum=0.0, weight_decay=0.01)
    protocol = replace(PROTOCOLS["darts-ptb"], batch_size=3, optimiser=optimiser, network=sizes)
    data = from_tokens(text, text, text, 7, window=5)
    job = Retraining([("found", DARTS_RNN_V2)], DartsRnn(), data, protocol, RunDirectory(tmp_path), Settings())
    fill(job.state.net.double())
    job.begin_epoch()
    job.state.stream.order = torch.tensor([0, 5, 13, 16, 22, 27, 29])
    losses, backward = [], TrainingState.backward

    def seen(*arguments):
        losses.append(backward(*arguments).item())
        return torch.tensor(losses[-1])

    monkeypatch.setattr(TrainingState, "backward", seen)
    monkeypatch.setattr("mixop.evaluate.training.in_float32", lambda outputs: outputs)
    for _ in range(6):
        job.take_step()
    expected = [1.991324843218, 1.935523645871, 1.883807842784, 1.879184300555, 1.890942673849, 2.024783197651]
    assert losses == pytest.approx(expected, rel=1e-11)  # the digits that are written here
    squares = sum(p.square().sum().item() for p in job.state.net.parameters())
    assert squares == pytest.approx(6.873371611564, rel=1e-11)
