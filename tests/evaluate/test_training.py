"""The gradient of a batch by the protocols of the DARTS family, against sums written out; and a state that goes on exactly."""

import os
import signal
import traceback
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from mixop.core.optim import SGD
from mixop.core.schedules import Constant
from mixop.data import from_arrays
from mixop.data.images.augment import Augment
from mixop.engine.settings import Settings
from mixop.evaluate.averaging import MovingAverage
from mixop.evaluate.protocol import PROTOCOLS, Protocol
from mixop.evaluate.retrain import Retraining
from mixop.evaluate.score import evaluate_network
from mixop.evaluate.trained import evaluate_run, read_score
from mixop.evaluate.training import TrainingState
from mixop.runs import checkpoint
from mixop.runs.directory import RunDirectory
from mixop.runs.interrupt import InterruptedRunError
from mixop.spaces import darts
from mixop.spaces.published import DARTS_V2

SPACE = darts(cells=1, channels=4, input_shape=(1, 16, 16), outputs=3)
RICH = Protocol(
    name="rich",
    epochs=4,
    batch_size=8,
    optimiser=SGD(lr=Constant(0.05)),
    clip=5.0,
    label_smoothing=0.1,
    auxiliary=0.4,
    drop_path=0.3,
    accumulate=2,
    cutout=4,
)


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(40) % 3
    x = torch.randn(40, 1, 16, 16, generator=generator) + y.view(-1, 1, 1, 1)
    return from_arrays(x, y, valid=0.5, test_share=0.2, layout="nchw", augment=Augment(crop=1, flip=True))


@pytest.fixture
def state(data):
    return lambda protocol: TrainingState.fresh(DARTS_V2, SPACE, data, protocol, Settings())


def batch_of(data, count=8):
    return data.batch(data.train[:count])


def gradients(net):
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


def test_the_loss_is_that_of_both_heads(state, data):
    protocol = replace(RICH, drop_path=0.0, accumulate=1)
    job, batch = state(protocol), batch_of(data)
    loss = job.backward(batch, protocol)
    got = gradients(job.net)
    logits, auxiliary, _ = job.net.training_outputs(batch.x)
    losses = [cross_entropy(value, batch.y, label_smoothing=0.1) for value in (logits, auxiliary)]
    by_hand = losses[0] + 0.4 * losses[1]
    assert loss.item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert job.train.value()["accuracy"] == (logits.argmax(-1) == batch.y).sum().item() / len(batch.y)
    job.net.zero_grad()
    by_hand.backward()
    for name, value in gradients(job.net).items():
        torch.testing.assert_close(got[name], value, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("count", [8, 7])  # pieces of 4 and 4, of 4 and 3
def test_pieces_add_up_to_the_mean_over_the_batch(state, data, count):
    protocol = replace(RICH, drop_path=0.0)
    job, batch = state(protocol), batch_of(data, count)
    loss = job.backward(batch, protocol)
    got = gradients(job.net)
    job.net.zero_grad()
    whole = torch.zeros(())
    for x, y in ((batch.x[:4], batch.y[:4]), (batch.x[4:], batch.y[4:])):
        logits, auxiliary, _ = job.net.training_outputs(x)
        values = [cross_entropy(value, y, label_smoothing=0.1, reduction="sum") / count for value in (logits, auxiliary)]
        whole = whole + values[0] + 0.4 * values[1]
    whole.backward()
    assert loss.item() == pytest.approx(whole.item(), rel=1e-5)
    for name, value in gradients(job.net).items():
        torch.testing.assert_close(got[name], value, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize(("accumulate", "count"), [(4, 10), (8, 9), (4, 3)])
def test_no_piece_has_a_single_image(state, data, accumulate, count):
    protocol = replace(RICH, batch_size=16, accumulate=accumulate)
    job, seen = state(protocol), []
    job.net.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    real = job.net.training_outputs
    job.net.training_outputs = lambda x, state=None: seen.append(len(x)) or real(x)
    job.backward(batch_of(data, count), protocol)
    assert sum(seen) == count
    assert min(seen) >= 2


def test_drop_path_rises_linearly_from_zero(state, data):
    job = state(RICH)
    for epoch in range(4):
        job.epoch = epoch
        job.backward(batch_of(data), RICH)
        assert job.net.drop_path == pytest.approx(0.3 * epoch / 4)


def test_dropped_paths_come_from_the_states_own_generator(state, data):
    losses = []
    for noise in (0, 1):
        torch.manual_seed(noise)  # the global generator takes no part
        job = state(RICH)
        job.epoch = 3
        losses.append(job.backward(batch_of(data), RICH).item())
    assert losses[0] == losses[1]


def test_half_precision_is_near_and_not_equal(state, data):
    single, half = (replace(RICH, precision=word, drop_path=0.0) for word in ("float32", "bfloat16"))
    losses = [state(protocol).backward(batch_of(data, 8), protocol).item() for protocol in (single, half)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)  # 8 bits of mantissa, some twenty layers
    job = state(half)
    job.backward(batch_of(data), half)
    assert {p.dtype for p in job.net.parameters()} == {torch.float32}


def outcome(run):
    score = read_score(run)
    networks = [replace(network, seconds=0.0) for network in score.networks]
    records = [replace(record, seconds=0.0) for record in run.records()]
    return (run / "weights.safetensors").read_bytes(), replace(score, networks=tuple(networks)), records


@pytest.mark.parametrize("at", [1, 4, 9])  # of 16 steps: the first, the end of an epoch, in the middle of one
def test_all_of_it_goes_on_bit_for_bit(data, tmp_path, at):
    steps = 0

    def interrupt(record):
        nonlocal steps
        steps += record.get("event") == "step"
        if steps == at:
            os.kill(os.getpid(), signal.SIGTERM)

    def job(out, observe=None):
        made = Retraining([("found", DARTS_V2)], SPACE, data, RICH, RunDirectory(tmp_path / out), Settings(), observe)
        with made.run_directory.locked():
            made.claim()
        return made

    job("whole").run()
    with pytest.raises(InterruptedRunError):
        job("torn", interrupt).run()
    job("torn").run()
    assert outcome(RunDirectory(tmp_path / "torn")) == outcome(RunDirectory(tmp_path / "whole"))


def test_the_published_protocols_train_a_small_network(data, tmp_path):
    """Every protocol for cells with its own optimiser, loss and schedules, in the smallest sizes."""
    for name, protocol in PROTOCOLS.items():
        if protocol.dropout is not None or protocol.windows is not None:  # for ENAS's networks, and for texts: test_protocols
            continue
        sizes = {"cells": 1, "channels": 4} if protocol.cells else {}
        small = replace(protocol, epochs=2, batch_size=8, crop=0, resized_crop=False, jitter=None, cutout=0, **sizes)
        run = RunDirectory(tmp_path / name)
        made = Retraining([("found", DARTS_V2)], SPACE, data, small, run, Settings())
        with made.run_directory.locked():
            made.claim()
        entry = made.run().networks[0]
        head = sum(p.numel() for p in made.state.net.auxiliary.parameters()) if made.state.net.auxiliary else 0
        assert entry.parameters == sum(p.numel() for p in made.state.net.parameters()) - head
        assert (head > 0) == (protocol.auxiliary > 0)
        assert all(record.train["loss"] > 0 for record in run.records())
        again = evaluate_run(run.path, data)  # what is written is read back, auxiliary head or not
        assert again.measures == pytest.approx(entry.measures)


class Waits(TorchDispatchMode):
    """Counts what makes the host wait for a device: numbers that are read, and shapes that depend on numbers."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        reads = func.overloadpacket.__name__ in ("_local_scalar_dense", "is_nonzero", "nonzero", "equal", "masked_select")
        # The seed of what a pass draws is read from a generator that is always on the host.
        if reads and "draw_seed" not in {frame.name for frame in traceback.extract_stack()}:
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


def test_a_step_reads_nothing_from_the_device(data, tmp_path):
    protocol = replace(RICH, averaging=MovingAverage(decay=0.9), accumulate=1)
    job = Retraining([("found", DARTS_V2)], SPACE, data, protocol, RunDirectory(tmp_path), Settings())
    job.begin_epoch()
    job.state.epoch = 2  # with drop path
    job.take_step()
    with Waits() as waits:
        job.take_step()
        place = job.position()
    assert waits.found == []
    with waits:
        assert place["train"]["loss"] > 0  # what somebody reads is fetched
    assert waits.found


def test_a_run_of_an_older_version_goes_on_with_the_plain_modules(data, tmp_path):
    jobs = {}
    for name in ("plain", "nodewise"):
        run, settings = RunDirectory(tmp_path / name), Settings(executor=name, checkpoint_seconds=0)
        jobs[name] = Retraining([("found", DARTS_V2)], SPACE, data, RICH, run, settings)
        assert jobs[name].state.net.nodewise == (name == "nodewise")
    with jobs["plain"].run_directory.locked():
        jobs["plain"].claim()
        jobs["plain"].save()
        saved = checkpoint.load(tmp_path / "plain" / "retrain.pt")
        del saved["executor"]  # which older versions did not write
        checkpoint.save(tmp_path / "plain" / "retrain.pt", saved)
        again = Retraining([("found", DARTS_V2)], SPACE, data, RICH, RunDirectory(tmp_path / "plain"), Settings())
        assert again.state.net.nodewise
        again._restore()
        assert not again.state.net.nodewise


def test_frozen_norms_rest_after_an_evaluation_too(data):
    protocol = replace(RICH, freeze=("layers.0",))
    job = TrainingState.fresh(DARTS_V2, SPACE, data, protocol, Settings())
    assert job.frozen
    for _ in range(2):
        job.backward(batch_of(data), protocol)
        assert job.net.training
        assert not any(norm.training for norm in job.frozen)
        evaluate_network(job.net, data, "valid")
