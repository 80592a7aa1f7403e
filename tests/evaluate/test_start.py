"""Trainings that begin from a supernet's weights: before the first step they are the supernet's own path, and say so after."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from killed import kill_after
from own_nets import Cell, Small

from mixop import api
from mixop.core.errors import RecipeError, RunError
from mixop.data import from_arrays
from mixop.engine.score import one_path, score
from mixop.engine.settings import Settings
from mixop.evaluate.protocol import PROTOCOLS
from mixop.evaluate.score import evaluate_network
from mixop.evaluate.start import TrainedSupernet, trained_supernet
from mixop.evaluate.trained import load_network
from mixop.evaluate.training import TrainingState
from mixop.nets.modules.space import in_module
from mixop.nets.ops import BatchNorm
from mixop.recipes import darts, drnas, pcdarts
from mixop.report.html import write_report
from mixop.runs.directory import RunDirectory
from mixop.runs.records import Start
from mixop.spaces import darts as darts_space
from mixop.spaces import enas_macro, enas_micro, nasbench201
from mixop.supernet.executors import make_supernet

PROTOCOL = replace(PROTOCOLS["finetune"], epochs=2, batch_size=8)
CELLS = nasbench201(channels=4, cells=1, stages=1)


def pictures(channels=1):
    y = torch.arange(60) % 3
    x = torch.randn(60, channels, 6, 6, generator=torch.Generator().manual_seed(0)) + y.view(-1, 1, 1, 1)
    return from_arrays(x, y, valid=0.5, test_share=0.2, name="tiny", layout="nchw")


def searched(space, folder, recipe=None, data=None, **settings):
    short = replace(recipe or darts(), epochs=2, batch_size=12, warmup=0)
    return api.search(short, space, pictures() if data is None else data, folder, **settings)


WITHOUT_POOLS = "nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2"

CASES = {
    "model": (lambda: in_module(Small), "nodewise", BatchNorm(affine=False, track=False)),
    "model with statistics": (lambda: in_module(Small), "nodewise", BatchNorm()),
    "plain": (lambda: CELLS, "plain", BatchNorm(affine=False, track=False)),
    "nodewise": (lambda: CELLS, "nodewise", BatchNorm()),
    "fused": (lambda: CELLS, "fused", BatchNorm(affine=False, track=False)),
}


@pytest.mark.parametrize("case", CASES)
def test_before_the_first_step_a_network_scores_what_its_path_scores(case, tmp_path):
    make, executor, norm = CASES[case]
    data = pictures()
    found = searched(make(), tmp_path / "run", replace(darts(), norm=norm), executor=executor)
    supernet = trained_supernet(RunDirectory(tmp_path / "run"))
    net = make_supernet(executor, found.space, norm=replace(norm, track=True), generator=torch.Generator())
    net.load_state_dict(supernet.tensors, strict=norm.track)  # statistics of its own are measured again below
    like = {group.name: torch.zeros(group.shape) for group in found.space.groups}
    rng, seen = random.Random(0), set()
    for architecture in (found.architecture, *(found.space.random(rng) for _ in range(4))):
        state = TrainingState.fresh(architecture, found.space, data, PROTOCOL, Settings(), ("train",), supernet)
        got = evaluate_network(state.net, data, "valid", PROTOCOL.batch_size).measures
        mix, active = one_path(found.space, architecture, like)
        want = score(net, data, mix, active, batch_size=PROTOCOL.batch_size, norm="recalibrated")
        assert got["loss"] == pytest.approx(want["loss"], rel=1e-5)  # float32, executors add in other orders
        assert got["accuracy"] == want["accuracy"]
        seen.add(round(want["loss"], 9))
    assert len(seen) > 1
    fresh = TrainingState.fresh(found.architecture, found.space, data, PROTOCOL, Settings(), ("train",))
    assert evaluate_network(fresh.net, data, "valid").measures["loss"] != pytest.approx(want["loss"], rel=1e-3)


def test_cells_of_two_inputs_and_a_head_beside_them_begin_from_their_own_weights(tmp_path):
    space = darts_space(cells=2, channels=4)
    found = searched(space, tmp_path / "run")
    supernet = trained_supernet(RunDirectory(tmp_path / "run"))
    protocol = replace(PROTOCOL, auxiliary=0.4)
    net = TrainingState.fresh(found.architecture, found.space, pictures(), protocol, Settings(), ("train",), supernet).net
    state, at = net.state_dict(), {}
    for number, layer in enumerate(found.space.layers):
        if layer.kind != "cell":
            continue
        group = found.space.group(layer.group)
        for place, choice in enumerate(found.architecture.of(layer.group)):
            option = group.decisions[choice.decision].options.index(choice.option)
            at[f"layers.{number}.operations.{place}."] = f"layers.{number}.edges.{choice.decision}.options.{option}."
    convolutions = 0
    for name, value in state.items():
        if name.startswith("auxiliary.") or not name.endswith("weight") or value.dim() < 2:
            continue
        theirs = next((at[prefix] + name.removeprefix(prefix) for prefix in at if name.startswith(prefix)), name)
        assert torch.equal(value, supernet.tensors[theirs]), name
        convolutions += ".operations." in name
    assert convolutions > 0


def results(run):
    score = RunDirectory(run).score()
    records = [replace(record, seconds=0.0) for record in RunDirectory(run).records()]
    return (
        (Path(run) / "weights.safetensors").read_bytes(),
        [replace(network, seconds=0.0) for network in score.networks],
        [record for record in records if type(record).__name__ == "RetrainingRecord"],
    )


def tune(run, out, observe=None, *, native=None, **changes):
    space = in_module(Small).fit(pictures())
    native = native or api.found_architecture(RunDirectory(run), space)
    settings = {"protocol": PROTOCOL, "random": 1, "seed": 3, **changes}
    return api.retrain(
        native, space, pictures(), out, start="supernet", supernet=run, checkpoint_seconds=0, observe=observe, **settings
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("started") / "search"
    searched(in_module(Small), out)
    return out


@pytest.mark.parametrize("records", [pytest.param(1, marks=pytest.mark.slow), 7, pytest.param(14, marks=pytest.mark.slow)])
def test_a_killed_training_from_a_supernet_ends_like_one_left_alone(run, records, tmp_path):
    tune(run, tmp_path / "whole")
    kill_after(records, tune, run, tmp_path / "torn")
    api.resume(tmp_path / "torn", pictures())
    assert results(tmp_path / "torn") == results(tmp_path / "whole")


def test_where_it_began_is_recorded_bound_and_said(run, tmp_path):
    result = tune(run, tmp_path / "out")
    assert result.score.start.run == str(run.resolve())
    began = RunDirectory(tmp_path / "out").read_json("retrain.json")["start"]
    assert began["weights_sha256"] == result.score.start.weights_sha256
    page = write_report(tmp_path / "out").read_text()
    assert "began from the supernet" in page
    assert "Training from scratch" not in page
    # The same search at another place is the same; another one, and a training from scratch, are others.
    again = tmp_path / "moved"
    run.rename(again)
    try:
        assert tune(again, tmp_path / "out").measures == result.measures
    finally:
        again.rename(run)
    with pytest.raises(RunError, match=r"holds another run: retrain.start"):
        api.retrain(result.score.networks[0].architecture, in_module(Small), pictures(), tmp_path / "out", protocol=PROTOCOL,
                    random=1, seed=3)  # fmt: skip
    searched(in_module(Small), tmp_path / "other", seed=1)
    with pytest.raises(RunError, match=r"start\.weights_sha256"):
        tune(tmp_path / "other", tmp_path / "out", native=result.score.networks[0].architecture)
    run.rename(again)  # what is done needs no search any more
    try:
        assert api.resume(tmp_path / "out", pictures()).measures == result.measures
    finally:
        again.rename(run)
    assert load_network(tmp_path / "out")(torch.zeros(2, 1, 6, 6)).shape == (2, 3)


def test_what_is_no_path_of_the_supernet_is_refused(run, tmp_path):
    found = api.found_architecture(RunDirectory(run), in_module(Small).fit(pictures()))
    with pytest.raises(RecipeError, match="needs the space that was searched"):
        api.retrain(
            found, in_module(Small, arguments={"width": 5}), pictures(), tmp_path / "out", start="supernet", supernet=run
        )
    with pytest.raises(RunError, match="There is no run directory"):
        api.retrain(found, in_module(Small), pictures(), tmp_path / "out", start="supernet")
    with pytest.raises(RecipeError, match="from scratch reads no supernet"):
        api.retrain(found, in_module(Small), pictures(), tmp_path / "out", supernet=run)
    cells = searched(CELLS, tmp_path / "cells")
    with pytest.raises(RecipeError, match=r"The supernet has cells 1 and channels 4, but the protocol's networks have cells 2"):
        api.retrain(cells.architecture, cells.space, pictures(), tmp_path / "out", protocol=replace(PROTOCOL, cells=2),
                    start="supernet", supernet=tmp_path / "cells")  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_operations_on_a_part_of_the_channels_are_refused(tmp_path):
    found = searched(CELLS, tmp_path / "run", pcdarts())
    convolution = found.space.from_native(f"|{WITHOUT_POOLS}|")
    with pytest.raises(RecipeError, match=r"other shapes than the network's .* as partial channels do"):
        api.retrain(convolution, found.space, pictures(), tmp_path / "out", start="supernet", supernet=tmp_path / "run")


def test_frozen_weights_stay_those_of_the_supernet(run, tmp_path):
    result = tune(run, tmp_path / "out", protocol=replace(PROTOCOL, freeze=("stem", "*head.bias")))
    begun = trained_supernet(RunDirectory(run)).tensors
    after = result.model.state_dict()
    assert torch.equal(after["stem.0.weight"], begun["model.stem.0.weight"])
    assert torch.equal(after["stem.1.weight"], begun["model.stem.1.weight"])
    assert torch.equal(after["head.bias"], begun["model.head.bias"])
    assert not torch.equal(after["head.weight"], begun["model.head.weight"])
    # A norm that is frozen whole keeps the statistics that it began with.
    space = in_module(Small).fit(pictures())
    found = api.found_architecture(RunDirectory(run), space)
    fresh = TrainingState.fresh(
        found, space, pictures(), PROTOCOL, Settings(seed=3), supernet=trained_supernet(RunDirectory(run))
    )
    assert torch.equal(after["stem.1.running_mean"], fresh.net.state_dict()["stem.1.running_mean"])


def test_names_to_freeze_must_be_there_and_leave_something(run, tmp_path):
    for freeze, sentence in (
        (("stm",), "There is no weight to freeze in this network 'stm'"),
        (("*",), "leaves nothing to train"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            tune(run, tmp_path / "out", protocol=replace(PROTOCOL, freeze=freeze))
    with pytest.raises(RecipeError, match="freeze of a retraining must be a list"):
        replace(PROTOCOL, freeze="stem")
    assert not (tmp_path / "out").exists()


def test_a_model_begins_from_its_own_weights(tmp_path):
    torch.manual_seed(0)
    model = Cell(outputs=3).double().float()
    with torch.no_grad():
        model(torch.randn(30, 3, 6, 6))  # statistics of its own
    data = pictures(channels=3)
    space = in_module(model, pretrained=True).fit(data)
    net = make_supernet("nodewise", space, norm=BatchNorm(affine=False, track=False), generator=torch.Generator())
    x = torch.randn(4, 3, 6, 6)
    mix = {group.name: torch.tensor([[1.0, 0, 0, 0, 0]]) for group in space.groups}  # the first option is the default
    torch.testing.assert_close(net.eval()(x, mix), model.eval()(x))
    begun = {name: value for name, value in net.state_dict().items() if "num_batches" not in name}
    for name, value in begun.items():
        assert torch.equal(value, model.state_dict()[name.removeprefix("model.")]), name
    found = searched(space, tmp_path / "run", drnas(), data)
    result = api.retrain(found.architecture, found.space, data, tmp_path / "out", protocol=replace(PROTOCOL, freeze=("stem",)))
    assert torch.equal(result.model.state_dict()["stem.0.weight"], model.stem[0].weight)


@pytest.mark.parametrize("space", [enas_macro(depth=2), enas_micro(cells=1)], ids=lambda space: space.name)
def test_networks_that_are_built_in_another_form_begin_from_scratch(space):
    supernet = TrainedSupernet(Start("runs/x", "0"), space, space, {}, {})
    with pytest.raises(RecipeError, match=f"The networks of {space.name} are built in another form than its supernet"):
        supernet.check(space, space)
