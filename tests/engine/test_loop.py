"""The search loop: it finds a known optimum, stops well, and never loses a run."""

import json
import os
import signal
from dataclasses import replace

import pytest
import torch

from mixop import api
from mixop.analysis.collapse import skip_share
from mixop.analysis.entropy import entropy
from mixop.bilevel import FirstOrder
from mixop.core.errors import DataError, DivergedError, RecipeError, RunError, SpaceError
from mixop.core.optim import SGD, Adam
from mixop.core.schedules import Constant
from mixop.data import digits
from mixop.data.toy import toy_set
from mixop.engine.loop import Search
from mixop.engine.settings import Settings
from mixop.recipes import RECIPES, darts, drnas, gaea, proxylessnas
from mixop.runs import checkpoint
from mixop.runs.directory import RunDirectory
from mixop.runs.interrupt import InterruptedRunError
from mixop.spaces import nasbench201
from mixop.spaces.sizes import Sizes
from mixop.spaces.toy import Toy


def tiny(recipe, **changes):
    return replace(recipe, **{"epochs": 2, "batch_size": 16, **changes})


@pytest.fixture(scope="module")
def toy_data():
    return toy_set(Toy(), n=256)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["darts", "drnas", "gaea", "darts_pt"])
def test_the_known_optimum_of_the_toy_is_found_from_several_seeds(name, tmp_path):
    """A few epochs at rates that suit a problem of a few hundred steps, the same for all methods of a kind."""
    recipe = RECIPES[name](epochs=15)
    rate = 0.05 if isinstance(recipe.architecture_optimiser, Adam) else 0.1
    recipe = replace(
        recipe,
        architecture_optimiser=replace(recipe.architecture_optimiser, lr=Constant(rate)),
        weight_optimiser=replace(recipe.weight_optimiser, lr=Constant(0.1)),
        batch_size=32,
    )
    space = Toy()
    data = toy_set(space, n=512)
    found = [api.search(recipe, space, data, tmp_path / str(seed), seed=seed).architecture for seed in range(3)]
    assert sum(architecture == space.optimum for architecture in found) >= 2, found


@pytest.mark.slow
@pytest.mark.parametrize("make", [darts, gaea])
def test_methods_run_end_to_end_on_digits(make, tmp_path):
    data = digits(valid=0.5, seed=0)
    space = nasbench201(channels=4, cells=1)
    recipe = make(epochs=3)
    recipe = replace(recipe, batch_size=32, weight_optimiser=replace(recipe.weight_optimiser, lr=Constant(0.1)))
    result = api.search(recipe, space, data, tmp_path / "run", seed=0)
    history = result.history
    assert [record.epoch for record in history] == [1, 2, 3]
    assert history[-1].train["loss"] < history[0].train["loss"]
    assert history[-1].train["accuracy"] > 0.25  # chance is 0.1
    assert result.native == history[-1].architecture
    assert json.loads((tmp_path / "run" / "architecture.json").read_text())["native"] == result.native
    assert (tmp_path / "run" / "architecture.svg").read_text().startswith("<svg")


def test_one_step_of_each_kind_is_what_the_formulas_say(tmp_path, toy_data):
    """One epoch of one batch with plain SGD on both sides, recomputed by hand from the initial state."""
    recipe = tiny(
        darts(),
        epochs=1,
        batch_size=len(toy_data.train),
        weight_optimiser=SGD(lr=Constant(0.1), momentum=0.0, weight_decay=0.01),
        architecture_optimiser=SGD(lr=Constant(0.5), momentum=0.0, weight_decay=0.0),
        clip=0.0,
    )
    data = toy_data
    assert len(data.valid) >= len(data.train)
    job = Search(recipe, Toy(), data, RunDirectory(tmp_path), Settings(seed=0))
    weights = {name: p.detach().clone() for name, p in job.state.net.named_parameters()}
    alpha = job.state.params["cell"].clone()
    job.state.architecture_stream.order, job.state.architecture_stream.at = data.valid, 0
    job._prepare_epoch()
    job._step()

    def loss(weights, alpha, indices):
        mix = {"cell": alpha.softmax(-1)}
        x, y, _ = data.batch(indices)
        logits = torch.func.functional_call(job.state.net, weights, (x, mix))
        return torch.nn.functional.cross_entropy(logits, y)

    alpha.requires_grad_()
    (g_alpha,) = torch.autograd.grad(loss(weights, alpha, data.valid[: recipe.batch_size]), alpha)
    alpha = (alpha - 0.5 * g_alpha).detach()
    torch.testing.assert_close(job.state.params["cell"], alpha)
    leaves = {name: w.clone().requires_grad_() for name, w in weights.items()}
    grads = torch.autograd.grad(loss(leaves, alpha, data.train), list(leaves.values()))
    for (name, w), g in zip(weights.items(), grads, strict=True):
        got = dict(job.state.net.named_parameters())[name]
        torch.testing.assert_close(got, w - 0.1 * (g + 0.01 * w), msg=name)


def test_the_order_of_the_steps_and_the_warmup_are_kept(tmp_path, toy_data):
    steps: list[str] = []

    class Spy(Search):
        def _architecture_step(self, *batches):
            steps.append("a")
            super()._architecture_step(*batches)

        def _weight_step(self, batch):
            steps.append("w")
            super()._weight_step(batch)

    for order, want in (("architecture_first", "aw"), ("weights_first", "wa")):
        steps.clear()
        recipe = tiny(darts(), epochs=2, warmup=1, batch_size=64, order=order)
        job = Spy(recipe, Toy(), toy_data, RunDirectory(tmp_path / order), Settings())
        (tmp_path / order).mkdir()
        job.run()
        per_epoch = job.state.weight_stream.batches
        assert "".join(steps) == "w" * per_epoch + want * per_epoch


def test_single_level_sees_all_examples_and_claims_no_validation(tmp_path, toy_data):
    result = api.search(tiny(gaea()), Toy(), toy_data, tmp_path / "run")
    saved = checkpoint.load(tmp_path / "run" / "state.pt")["search"]
    assert sorted(saved["weight_stream"]["order"].tolist()) == sorted([*toy_data.train.tolist(), *toy_data.valid.tolist()])
    assert result.history[-1].valid == {}


def test_keep_best_returns_the_architecture_of_the_best_validation_epoch(tmp_path, toy_data):
    recipe = tiny(darts(), epochs=6, keep="best", architecture_optimiser=SGD(lr=Constant(50.0), momentum=0.0, weight_decay=0.0))
    result = api.search(recipe, Toy(), toy_data, tmp_path / "run")
    best = max(result.history, key=lambda record: record.valid["accuracy"])  # the first one on ties
    assert result.native == best.architecture
    with pytest.raises(RecipeError, match="keep"):
        replace(gaea(), keep="best")


def test_a_nan_loss_stops_the_search_and_keeps_the_last_good_state(tmp_path, toy_data):
    recipe = tiny(darts(), weight_optimiser=SGD(lr=Constant(1e38), momentum=0.0, weight_decay=0.0), clip=0.0, epochs=5)
    with pytest.raises(DivergedError, match="smaller learning rate") as caught:
        api.search(recipe, Toy(), toy_data, tmp_path / "run", checkpoint_seconds=0)
    assert "\n" not in str(caught.value)
    saved = checkpoint.load(tmp_path / "run" / "state.pt")["search"]
    assert all(value.isfinite().all() for value in saved["params"].values())
    assert not (tmp_path / "run" / "architecture.json").exists()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_saves_and_says_how_to_resume(signum, tmp_path, toy_data):
    def interrupt(record):
        if record.get("event") == "step" and (record["epoch"], record["step"]) == (1, 3):
            os.kill(os.getpid(), signum)

    recipe = tiny(darts())
    handlers = signal.getsignal(signum)
    with pytest.raises(InterruptedRunError, match="mixop resume") as caught:
        api.search(recipe, Toy(), toy_data, tmp_path / "run", observe=interrupt)
    assert caught.value.signum == signum
    assert signal.getsignal(signum) is handlers
    assert checkpoint.load(tmp_path / "run" / "state.pt")["search"]["step"] == 3
    result = api.resume(tmp_path / "run", toy_data)
    other = api.search(recipe, Toy(), toy_data, tmp_path / "other")
    assert isinstance(result, api.SearchResult)
    assert result.architecture == other.architecture


def test_the_same_search_again_returns_its_result_and_another_is_refused(tmp_path, toy_data):
    out = tmp_path / "run"
    first = api.search(tiny(darts()), Toy(), toy_data, out)
    stamp = (out / "state.pt").stat().st_mtime_ns
    assert api.search(tiny(darts()), Toy(), toy_data, out).architecture == first.architecture
    assert (out / "state.pt").stat().st_mtime_ns == stamp
    with pytest.raises(RunError, match=r"another run: recipe\.relaxation.*choose another"):
        api.search(tiny(drnas(), name="darts"), Toy(), toy_data, out)
    with pytest.raises(RunError, match=r"settings\.seed is 0 there and 1 now"):
        api.search(tiny(darts()), Toy(), toy_data, out, seed=1)
    with pytest.raises(RunError, match="data"):
        api.search(tiny(darts()), Toy(), toy_set(Toy(), n=300), out)


def test_resuming_with_other_data_or_a_torn_checkpoint_is_refused(tmp_path, toy_data):
    out = tmp_path / "run"
    api.search(tiny(darts()), Toy(), toy_data, out, checkpoint_seconds=0)
    with pytest.raises(RunError, match="not the data"):
        api.resume(out, toy_set(Toy(), n=300))
    (out / "architecture.json").unlink()
    content = bytearray((out / "state.pt").read_bytes())
    content[-10] ^= 1
    (out / "state.pt").write_bytes(content)
    with pytest.raises(RunError, match=r"torn or was changed.*state\.pt\.previous"):
        api.resume(out, toy_data)
    (out / "state.pt.previous").replace(out / "state.pt")
    assert api.resume(out, toy_data)


def test_a_checkpoint_of_another_run_does_not_fit(tmp_path, toy_data):
    api.search(tiny(darts()), Toy(blocks=2), toy_set(Toy(blocks=2), n=256), tmp_path / "two")
    api.search(tiny(darts()), Toy(), toy_data, tmp_path / "three")
    (tmp_path / "three" / "architecture.json").unlink()
    (tmp_path / "three" / "state.pt").write_bytes((tmp_path / "two" / "state.pt").read_bytes())
    with pytest.raises(RunError, match=r"state\.pt was not made with the space\.json that is beside it"):
        api.resume(tmp_path / "three", toy_data)


def test_sizes_that_do_not_fit_are_refused_before_anything_is_computed(tmp_path, toy_data):
    with pytest.raises(DataError, match=r"batch of 4096 is larger.*at most"):
        api.search(tiny(darts(), batch_size=4096), Toy(), toy_data, tmp_path / "a")
    with pytest.raises(SpaceError, match="outputs"):
        api.search(tiny(darts()), nasbench201(channels=2, cells=1, outputs=5), digits(), tmp_path / "b")
    with pytest.raises(RecipeError, match="device must be"):
        api.search(tiny(darts()), Toy(), toy_data, tmp_path / "c", device="nowhere")
    with pytest.raises(RecipeError, match="seed"):
        api.search(tiny(darts()), Toy(), toy_data, tmp_path / "d", seed=-1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1"),
        ({"epochs": -3}, "epochs"),
        ({"batch_size": 1}, "batch size"),
        ({"clip": -1.0}, "clip"),
        ({"warmup": 50}, "leaves none of 50"),
        ({"order": "sideways"}, "order must be"),
        ({"weight_optimiser": RECIPES["gaea"]().architecture_optimiser}, "cannot train a network's weights"),
        ({"architecture_optimiser": RECIPES["gaea"]().architecture_optimiser}, "moves points of the simplex"),
    ],
)
def test_recipes_that_cannot_work_are_refused_when_they_are_built(change, words):
    with pytest.raises(RecipeError, match=words):
        replace(darts(), **change)


def test_a_simplex_relaxation_with_adam_is_refused():
    with pytest.raises(RecipeError, match=r"SimplexPoint.*Adam steps off it.*ExponentiatedGradient"):
        replace(gaea(), architecture_optimiser=Adam(), scheme=FirstOrder())


def test_entropy_and_skip_share_by_hand():
    space = nasbench201()
    mean = torch.full((6, 5), 0.2)
    assert entropy({"cell": mean}) == pytest.approx(torch.log(torch.tensor(5.0)).item())
    mean[0] = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0])
    assert skip_share({"cell": mean}, space) == pytest.approx((1 + 5 * 0.2) / 6)
    assert entropy({"cell": mean[:1]}) == 0
    assert skip_share({"cell": mean[:, :1]}, nasbench201(operations=("nor_conv_3x3",))) is None


def test_one_level_with_one_batch_steps_both_from_one_gradient(tmp_path, toy_data):
    """SNAS: weights and logits move along the gradient of one loss at the same point under the same draw."""
    recipe = tiny(
        RECIPES["snas"](),
        weight_optimiser=SGD(lr=Constant(0.25), momentum=0.0, weight_decay=0.0),
        architecture_optimiser=SGD(lr=Constant(0.5), momentum=0.0, weight_decay=0.0),
        clip=0.0,
        architecture_clip=0.0,
    )
    search = Search(recipe, Toy(), toy_data, RunDirectory(tmp_path / "run"), Settings(seed=3))
    state, problem = search.state, search.problem
    weights = {name: w.detach().clone() for name, w in problem.weights.items()}
    params = {name: p.clone() for name, p in state.params.items()}
    search._prepare_epoch()
    given = []
    search._batch = lambda indices, batch=search._batch: given.append(batch(indices)) or given[-1]
    search._step()
    leaves = {name: value.clone().requires_grad_() for name, value in {**weights, **params}.items()}
    loss = problem.valid_loss({name: leaves[name] for name in weights}, {name: leaves[name] for name in params}, given[0])
    loss.backward()
    assert len(given) == 1
    for name, w in problem.weights.items():
        torch.testing.assert_close(w.detach(), weights[name] - 0.25 * leaves[name].grad)
    for name, p in state.params.items():
        assert leaves[name].grad.abs().max() > 0
        torch.testing.assert_close(p.detach(), params[name] - 0.5 * leaves[name].grad)


@pytest.mark.parametrize("name", ["gdas", "rsws", "darts", "prdarts", "proxylessnas"])
def test_either_executor_trains_the_same_network(name, tmp_path):
    """Weights that a draw leaves out decay in both: with so strong a decay, one that skipped them would end far away."""
    data = digits(valid=0.5, seed=0)
    data = data.with_indices(data.train[:64], data.valid[:64])
    recipe = replace(RECIPES[name](), epochs=2, warmup=0, batch_size=32)
    recipe = replace(recipe, weight_optimiser=SGD(lr=Constant(0.05), momentum=0.9, weight_decay=0.3))
    space, states = nasbench201(channels=4, cells=1, stages=1).fit(Sizes((1, 8, 8), 10)), []
    for executor in ("plain", "nodewise"):
        folder = tmp_path / executor
        folder.mkdir()
        search = Search(recipe, space, data, RunDirectory(folder), Settings(executor=executor))
        search._prepare_epoch()
        for _ in range(3):
            search._step()
            search.state.step += 1
        states.append(search.state.net.state_dict())
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, rtol=1e-2, atol=1e-4, msg=key)  # float32, three steps


@pytest.mark.parametrize("executor", ["plain", "nodewise"])
def test_weights_that_did_not_run_may_rest(executor, tmp_path):
    """ProxylessNAS sets the gradients of its candidates to None before each step (mix_op.py, ``binarize``): torch's own SGD
    then leaves those out that did not run. Each option's weights step here in an optimiser of their own."""
    data = digits(valid=0.5, seed=0)
    data = data.with_indices(data.train[:96], data.valid[:96])
    settings = {"lr": Constant(0.05), "momentum": 0.9, "weight_decay": 0.3, "nesterov": True}
    recipe = replace(proxylessnas(), epochs=2, warmup=1, batch_size=16, weight_optimiser=SGD(**settings))
    space = nasbench201(channels=4, cells=1, stages=1).fit(Sizes((1, 8, 8), 10))
    search = Search(recipe, space, data, RunDirectory(tmp_path), Settings(executor=executor))
    net = search.state.net
    names = [name for name, _ in net.reference.named_parameters()]
    twins = {name: net.state_dict()[name].clone().requires_grad_() for name in names}
    own = torch.optim.SGD(twins.values(), lr=0.05, momentum=0.9, weight_decay=0.3, nesterov=True)
    step, idle, moved = search.state.weight_optimiser.step, [0], [0]
    (layer,) = (i for i, spec in enumerate(net.specs) if spec.kind == "cell")

    def watched():
        paths = search.weight_problem.ran["cell"]
        gradients = net.to_plain({name: p.grad for name, p in net.named_parameters()})
        for name, twin in twins.items():
            place = name.split(".")
            runs = place[:2] != ["layers", str(layer)] or int(place[5]) in paths[int(place[3])]
            twin.grad = gradients[name].clone() if runs else None
            idle[0] += not runs
            moved[0] += runs
        own.step()
        return step()

    search.state.weight_optimiser.step = watched
    search._prepare_epoch()
    for _ in range(5):
        search._step()
        search.state.step += 1
    assert idle[0] > 5
    assert moved[0] > 5
    for name, value in net.state_dict().items():
        if name in twins:
            torch.testing.assert_close(value, twins[name].detach(), rtol=1e-5, atol=1e-7, msg=name)  # float32
