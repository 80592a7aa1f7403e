"""Averaged SGD, the best network and the way back to it, against the loop of the published code; killed and resumed."""

import math
from dataclasses import replace

import pytest
import torch
from killed import kill_after
from torch import nn

from mixop import api
from mixop.core.errors import DivergedError, RecipeError
from mixop.core.optim import SGD
from mixop.core.schedules import Constant
from mixop.data import from_arrays, from_text
from mixop.data.windows import Windows
from mixop.engine.settings import Settings
from mixop.evaluate.averaging import Averaging, MovingAverage, average, with_weights
from mixop.evaluate.protocol import PROTOCOLS, Protocol, protocol_from_json, protocol_to_json
from mixop.evaluate.retrain import Retraining
from mixop.evaluate.score import evaluate_network
from mixop.evaluate.trained import load_network
from mixop.evaluate.training import TrainingState
from mixop.runs import checkpoint
from mixop.runs.directory import RunDirectory
from mixop.spaces import DartsRnn, darts, nasbench201
from mixop.testing import first_difference

SAID = "the cat sat on the mat\nthe mat was red and the cat was not\n"
PROTOCOL = Protocol(
    name="averaged",
    epochs=6,
    batch_size=4,
    optimiser=SGD(lr=Constant(5.0), momentum=0.0, weight_decay=1e-6),
    clip=0.25,
    network={"state_dropout": 0.1, "hidden": 7},
    windows=Windows(halved=0.2, spread=1.0),
    averaging=Averaging(patience=1),
    keep="best",
    score_columns=1,
)


def text():
    return from_text(train=SAID * 20, valid=SAID * 6, test=SAID * 4, window=6)


def job(out, protocol=PROTOCOL, observe=None, **options):
    space = DartsRnn(hidden=4, nodes=2)
    found = space.architecture([(2, None, 3)])
    made = Retraining(
        [("found", found)],
        space,
        text(),
        protocol,
        RunDirectory(out),
        Settings(seed=3, checkpoint_seconds=0),
        observe,
        **options,
    )
    with made.run_directory.locked():
        made.claim()
    return made


def test_the_trigger_is_that_of_the_published_code():
    def published(losses, nonmono):
        """The epoch behind which its loop switches: `rnn/train.py` of quark0/darts, lines 263 to 270."""
        seen = []
        for epoch, loss in enumerate(losses):
            if len(seen) > nonmono and loss > min(seen[:-nonmono]):
                return epoch
            seen.append(loss)
        return None

    generator = torch.Generator().manual_seed(0)
    for patience in (1, 3, 5):
        for _ in range(20):
            losses = (torch.rand(30, generator=generator) + torch.linspace(2, 0, 30)).tolist()
            ours = next((k for k in range(30) if Averaging(patience=patience).begins(losses[: k + 1])), None)
            assert ours == published(losses, patience)


def test_the_average_is_the_mean_over_the_steps():
    net, generator = nn.Linear(3, 2).double(), torch.Generator().manual_seed(0)
    averages, seen = {}, []
    for count in range(1, 8):
        with torch.no_grad():
            for p in net.parameters():
                p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64))
        seen.append([p.detach().clone() for p in net.parameters()])
        average(averages, net, Averaging().share(count))
    for mean, *steps in zip(averages.values(), *seen, strict=True):
        torch.testing.assert_close(mean, torch.stack(steps).mean(0), rtol=0, atol=1e-14)
    with with_weights(net, averages):
        assert all(torch.equal(p, averages[name]) for name, p in net.named_parameters())
    assert all(torch.equal(p, last) for p, last in zip(net.parameters(), seen[-1], strict=True))


MOVING = replace(PROTOCOLS["quick"], name="moving", epochs=3, batch_size=16, averaging=MovingAverage(decay=0.75))


def moving(out, observe, protocol=MOVING):
    """A training on images, with batch norm, that may be continued."""
    space = nasbench201(channels=4, cells=1)
    found = space.from_index(6111)
    made = Retraining(
        [("found", found)], space, pictures(), protocol, RunDirectory(out), Settings(checkpoint_seconds=0), observe
    )
    with made.run_directory.locked():
        made.claim()
        made.run()
    return made


def pictures():
    y = torch.arange(80) % 2
    x = torch.randn(80, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + y.view(-1, 1, 1, 1)
    return from_arrays(x, y, valid=0.4, test_share=0.2, layout="nchw")


def test_a_moving_average_is_the_plain_mean_and_then_fades():
    shares = [MovingAverage(decay=0.75).share(count) for count in range(1, 8)]
    assert shares == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 4, 1 / 4, 1 / 4]
    assert not replace(MOVING, keep="last").validates
    assert MOVING.train_on == ("train", "valid")
    assert protocol_from_json(protocol_to_json(MOVING)) == MOVING
    for wrong in (0.0, 1.0, float("nan")):
        with pytest.raises(RecipeError, match="decay of MovingAverage"):
            MovingAverage(decay=wrong)


def test_what_is_scored_is_the_moving_average_of_weights_and_statistics(tmp_path, monkeypatch):
    steps: list[dict[str, torch.Tensor]] = []
    move = TrainingState.move

    def noted(state, protocol):
        move(state, protocol)
        steps.append({name: value.double().clone() for name, value in state.net.state_dict().items()})

    monkeypatch.setattr(TrainingState, "move", noted)
    moving(tmp_path, lambda record: None)
    net = load_network(tmp_path)
    assert len(steps) == 3 * 4
    for name, value in net.state_dict().items():
        if not value.is_floating_point():
            assert value == steps[-1][name]
            continue
        mean = steps[0][name]
        for count, step in enumerate(steps[1:], start=2):
            share = max(0.25, 1 / count)
            mean = (1 - share) * mean + share * step[name]
        torch.testing.assert_close(value.double(), mean, rtol=1e-5, atol=1e-6)


def test_a_moving_average_survives_a_kill(tmp_path):
    seen = []
    moving(tmp_path / "whole", seen.append)
    kill_after(len(seen) - 4, moving, tmp_path / "torn")
    moving(tmp_path / "torn", lambda record: None)
    one, other = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "torn"))
    assert one == other


def test_the_best_network_on_the_validation_part_is_scored(tmp_path):
    made = job(tmp_path)
    weights = []
    look = made.state.look

    def watched(loss, rank, protocol):
        look(loss, rank, protocol)
        with made.state.validated():
            weights.append({name: p.detach().clone() for name, p in made.state.net.named_parameters()})

    made.state.look = watched
    score = made.run()
    records = made.run_directory.records()
    losses = [record.valid["loss"] for record in records]
    best = losses.index(min(losses))
    net = load_network(tmp_path)
    for name, p in net.named_parameters():
        assert torch.equal(p, weights[best][name])
    # In one column, every place of the test text is read in order.
    found = evaluate_network(net, text(), "test", columns=1).measures
    assert score.networks[0].measures == found
    assert math.log(found["perplexity"]) == pytest.approx(found["loss"])
    assert score.trained_on.parts == ("train",)
    assert [record.train["perplexity"] > 1 for record in records] == [True] * 6


def test_validation_reads_the_average_once_it_has_begun(tmp_path):
    made = job(tmp_path, replace(PROTOCOL, optimiser=SGD(lr=Constant(40.0), momentum=0.0, weight_decay=0.0), epochs=12))
    made.run()
    losses = [record.valid["loss"] for record in made.run_directory.records()]
    begun = next(k for k in range(len(losses)) if PROTOCOL.averaging.begins(losses[: k + 1]))
    state = made.state
    assert state.averaging
    assert state.losses == losses[: begun + 1]
    assert state.averaged > 0


def train(out, observe):
    api.retrain(
        DartsRnn(hidden=4, nodes=2).architecture([(2, None, 3)]),
        DartsRnn(hidden=4, nodes=2),
        text(),
        out,
        protocol=replace(PROTOCOL, optimiser=SGD(lr=Constant(40.0), momentum=0.0, weight_decay=0.0)),
        seed=3,
        checkpoint_seconds=0,
        threads=1,
        observe=observe,
    )


def test_a_killed_training_goes_on_with_its_averages(tmp_path):
    """Killed in the middle of the last epoch, when the average has begun and a best network is kept."""
    seen = []
    train(tmp_path / "whole", seen.append)
    kill_after(len(seen) - 3, train, tmp_path / "torn")
    saved = checkpoint.load(tmp_path / "torn" / "retrain.pt")["training"]
    assert saved["average"][1] > 0
    assert saved["best"][1]
    train(tmp_path / "torn", lambda record: None)
    for name in ("weights.safetensors",):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "torn" / name).read_bytes()
    one, other = (RunDirectory(tmp_path / name) for name in ("whole", "torn"))
    assert [replace(r, seconds=0.0) for r in one.records()] == [replace(r, seconds=0.0) for r in other.records()]


def test_a_training_that_diverges_goes_on_from_its_best_network(tmp_path):
    made = job(tmp_path)
    backward, calls = made.state.backward, []

    def broken(*given):
        loss = backward(*given)
        calls.append(made.state.epoch)
        if len(calls) == 40:
            return loss * math.nan
        return loss

    made.state.backward = broken
    before = []
    go_back = made.state.go_back
    made.state.go_back = lambda task: (before.append(len(calls)), go_back(task))[1]
    made.run()
    assert before == [40]
    assert calls[39] >= 1, "the first epoch has no best network to go back to"
    assert all(torch.isfinite(p).all() for p in load_network(tmp_path).parameters())
    other = job(tmp_path / "first")
    other.state.backward = lambda *given: torch.tensor(math.nan)
    for p in other.state.net.parameters():
        p.grad = torch.zeros_like(p)
    with pytest.raises(DivergedError, match="became nan"):
        other.run()


def test_going_back_restores_weights_optimiser_and_average(tmp_path):
    made = job(tmp_path)
    made.run()
    state = made.state
    state.best_rank, state.averaged = -math.inf, 4
    state.averages = {name: p.detach() + 1 for name, p in state.net.named_parameters()}
    state.look(1.0, 0.5, PROTOCOL)
    kept = {name: value.clone() for name, value in state.averages.items()}
    with torch.no_grad():
        for p in state.net.parameters():
            p.fill_(math.nan)
    state.averages, state.averaged = {}, 9
    assert state.go_back(made.data.task)
    assert state.averaged == 4
    assert first_difference(dict(state.net.named_parameters()), kept) is None
    assert first_difference(state.averages, kept) is None


def test_what_a_protocol_looks_at_is_not_trained_on(tmp_path):
    assert PROTOCOL.train_on == ("train",)
    assert replace(PROTOCOL, averaging=None, keep="last").train_on == ("train", "valid")
    with pytest.raises(RecipeError, match=r"looks at the validation part after every epoch, so it cannot train on it too"):
        job(tmp_path, train_on=("train", "valid"))


def test_the_published_protocols():
    ptb, wiki = PROTOCOLS["darts-ptb"], PROTOCOLS["darts-wikitext2"]
    assert (ptb.batch_size, ptb.clip, ptb.optimiser.lr(0.5), ptb.optimiser.weight_decay) == (64, 0.25, 20.0, 8e-7)
    assert (ptb.windows.halved, ptb.windows.spread, ptb.windows.scale_rate, ptb.averaging.patience) == (0.05, 5.0, True, 5)
    sized = ptb.sized(DartsRnn())
    dropouts = [getattr(sized, f"{name}_dropout") for name in ("output", "state", "input", "embedding", "word")]
    assert (sized.hidden, dropouts, sized.slowness) == (850, [0.75, 0.25, 0.75, 0.2, 0.1], 1e-3)
    assert wiki.sized(DartsRnn()) == replace(sized, hidden=700, state_dropout=0.15)
    assert wiki.optimiser.weight_decay == 5e-7
    for protocol in (ptb, wiki):
        assert protocol_from_json(protocol_to_json(protocol)) == protocol
        with pytest.raises(RecipeError, match=r"'hidden' of the network to (850|700)"):
            protocol.sized(darts())
    with pytest.raises(RecipeError, match="drops paths, but those of the recurrent cell of darts_rnn are computed together"):
        replace(ptb, drop_path=0.1).sized(DartsRnn())
    with pytest.raises(RecipeError, match="'output' of the network to 3, which is no number of the space darts_rnn"):
        replace(ptb, network={"output": 3}).sized(DartsRnn())


@pytest.mark.parametrize("patience", [0, 1.5, True])
def test_a_patience_that_is_none_is_refused(patience):
    with pytest.raises(RecipeError, match="patience of Averaging must be a whole number of at least 1"):
        Averaging(patience=patience)
