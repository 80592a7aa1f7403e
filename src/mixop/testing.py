"""The contracts of relaxations, spaces, recipes and tasks, public: prove that your own part fits.

Each check raises `AssertionError` with the promise that is broken, and returns nothing if all hold.
"""

import dataclasses
import hashlib
import io
import json
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.hooks import RemovableHandle

from mixop import api
from mixop.core.errors import RecipeError
from mixop.core.rng import fenced
from mixop.core.surroundings import undisturbed
from mixop.core.values import from_plain, to_plain
from mixop.data.core import Data
from mixop.data.images.digits import digits
from mixop.data.text import from_text
from mixop.data.toy import toy_set
from mixop.engine.score import one_path
from mixop.nets.discrete import build
from mixop.nets.inputs import random_inputs
from mixop.nets.modules.choice import Decided
from mixop.nets.modules.space import PARTS as SPACE_PARTS
from mixop.nets.modules.space import ModuleSpace
from mixop.nets.modules.trial import call
from mixop.nets.modules.weights import sliced
from mixop.nets.ops import BatchNorm
from mixop.nets.skeleton import edge_shape
from mixop.recipe.core import Recipe
from mixop.recipe.parts import recipe_from_json, recipe_to_json
from mixop.relax.base import Relaxation
from mixop.runs import checkpoint
from mixop.runs.files import STATE
from mixop.searchers.base import Searcher, state_from_json, state_to_json
from mixop.spaces import darts, nasbench201
from mixop.spaces.core import Architecture, Decision, Group, Space
from mixop.spaces.describe import describe_architecture, describe_space, read_architecture
from mixop.spaces.recurrent import DartsRnn
from mixop.spaces.stacked import Stacked, stacked
from mixop.spaces.toy import Toy
from mixop.supernet.base import Supernet
from mixop.supernet.module import module_supernet
from mixop.supernet.plain import plain
from mixop.tasks import PARTS as TASK_PARTS
from mixop.tasks.base import Task, Totals

Hook = Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]


def _generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


@undisturbed()
def check_relaxation(relaxation: Relaxation, *, edges: int = 3, options: int = 5) -> None:
    """The contract of a relaxation.

    It is a frozen value that survives JSON; its draws have the shape and dtype of the mixing weights, finite gradients (or
    a log-probability), repeat with the generator's seed and touch neither the parameters nor torch's global generator; its
    mean permutes with the options; and it keeps what its attributes (`Relaxation.mix_on_simplex` and so on) say.

    Args:
        relaxation: the part to check.
        edges: decisions of the group it is checked on.
        options: options of each decision.
    """
    group = Group("checked", tuple(Decision(0, 1, tuple(f"option_{o}" for o in range(options))) for _ in range(edges)))
    assert dataclasses.is_dataclass(relaxation), "a relaxation must be a dataclass"
    assert type(relaxation).__dataclass_params__.frozen, "a relaxation must be frozen: @dataclass(frozen=True, kw_only=True)"  # type: ignore[attr-defined]
    json.dumps(to_plain(relaxation))
    before = torch.get_rng_state()
    params = relaxation.init(group, _generator()).double()
    assert torch.equal(params, relaxation.init(group, _generator()).double()), "init must repeat with the generator's seed"
    if relaxation.params_on_simplex:
        torch.testing.assert_close(params.sum(-1), torch.ones_like(params[..., 0]), msg="init must lie on the simplex")
    if params.shape == group.shape and not relaxation.params_on_simplex:
        params = params + torch.randn(params.shape, generator=_generator(1), dtype=torch.float64)
    kept = params.clone()
    for progress in (0.0, 0.5, 1.0):
        leaf = params.clone().requires_grad_()
        draw = relaxation.draw(leaf, group, progress, _generator(2))
        assert torch.equal(leaf.detach(), kept), "draw must not change the parameters"
        again = relaxation.draw(leaf, group, progress, _generator(2))
        assert draw.weights.shape == group.shape, f"weights must be {group.shape}, got {tuple(draw.weights.shape)}"
        assert draw.weights.dtype == params.dtype, f"weights must keep {params.dtype}, got {draw.weights.dtype}"
        assert draw.weights.isfinite().all(), "weights must be finite"
        assert torch.equal(draw.weights, again.weights), "draws must repeat with the generator's seed"
        if draw.active is not None:
            assert len(draw.active) == edges, "active must name the running options of every decision"
            for row, paths in zip(draw.weights.detach(), draw.active, strict=True):
                assert paths, "active must name at least one option for every decision"
                assert all(type(o) is int and 0 <= o < options for o in paths), "active holds host-side integers"
                idle = [o for o in range(options) if o not in paths]
                assert (row[idle].abs() < 1e-12).all(), "an option that does not run must have weight 0"
        target = draw.log_prob if draw.log_prob is not None else (draw.weights * torch.arange(options)).square().sum()
        if target.requires_grad:
            (grad,) = torch.autograd.grad(target, leaf)
            assert grad.isfinite().all(), "gradients must be finite"
    mean = relaxation.mean(params, group)
    assert mean.shape == group.shape, f"mean must be {group.shape}, got {tuple(mean.shape)}"
    assert (mean >= 0).all(), "mean must be >= 0"
    if relaxation.mix_on_simplex:
        torch.testing.assert_close(mean.sum(-1), torch.ones(edges, dtype=mean.dtype), msg="rows of mean must sum to 1")
    if relaxation.independent_decisions:
        upside_down = relaxation.mean(params.flip(0), group)  # the decisions of this group are all alike
        torch.testing.assert_close(upside_down, mean.flip(0), msg="independent_decisions: a row of mean must depend on its own")
    if relaxation.parameter_per_option and options > 1:
        _check_pruned(relaxation, params, group)
    if relaxation.differentiable_mean and options > 1:
        leaf = params.clone().requires_grad_()
        (slope,) = torch.autograd.grad((relaxation.mean(leaf, group) * torch.arange(options)).sum(), leaf)
        assert slope.isfinite().all(), "differentiable_mean: the gradient of the mean must be finite"
        assert slope.any(), "differentiable_mean: the mean must depend on the parameters"
    if params.shape == group.shape:
        order = torch.randperm(options, generator=_generator(3))
        torch.testing.assert_close(
            relaxation.mean(params[:, order], group), mean[:, order], msg="mean must permute with the options"
        )
        torch.autograd.gradcheck(lambda p: relaxation.mean(p, group), params.clone().requires_grad_())
    assert torch.equal(torch.get_rng_state(), before), "torch's global generator must stay untouched"


def _check_pruned(relaxation: Relaxation, params: Tensor, group: Group) -> None:
    """Every decision loses another option: `Relaxation.prune` must leave the parameters of a smaller group."""
    edges, options = group.shape
    kept = [[o for o in range(options) if o != e % options] for e in range(edges)]
    smaller = replace(
        group,
        decisions=tuple(
            replace(d, options=tuple(d.options[o] for o in row)) for d, row in zip(group.decisions, kept, strict=True)
        ),
    )
    left = relaxation.prune(params, kept)
    assert relaxation.mean(left, smaller).shape == smaller.shape, "parameter_per_option: prune must leave a smaller group's"
    if relaxation.params_on_simplex:
        torch.testing.assert_close(left.sum(-1), torch.ones_like(left[..., 0]), msg="prune must stay on the simplex")


@undisturbed()
def check_space(space: Space, *, samples: int = 20) -> None:
    """The contract of a space.

    Its description is JSON; its layers read earlier layers only and end in the classes; random architectures survive their
    native string and JSON; the supernet, where the space has one, gives outputs at uniform mixing weights with a gradient for
    every group; options do what their roles say; and the discrete network of an architecture runs.

    Args:
        space: the space to check, small enough to run on a CPU.
        samples: random architectures that are written and read.
    """
    json.dumps(describe_space(space))
    space = stacked(space)
    rng = random.Random(0)
    for number, layer in enumerate(space.layers, start=1):
        assert layer.inputs, f"layer {number} reads nothing"
        assert all(0 <= i < number for i in layer.inputs), f"layer {number} must read earlier outputs, got {layer.inputs}"
        for i, channels in zip(layer.inputs, layer.channels, strict=True):
            given = space.layers[i - 1].out if i else channels
            assert channels == given, f"layer {number} expects {channels} channels of output {i}, which has {given}"
    x = random_inputs(space, 4, generator=_generator())
    positions = tuple(x.shape[-space.dims :]) if space.dense else ()
    wanted = (4, space.layers[-1].out, *positions)
    if space.shares:
        _check_supernet(space, x, wanted)
    for _ in range(samples):
        architecture = space.random(rng)
        space.check(architecture)
        assert space.from_native(space.to_native(architecture)) == architecture, "the native string must be lossless"
        text = json.dumps(describe_architecture(space, architecture))
        assert read_architecture(space, json.loads(text)) == architecture, "architecture.json must be lossless"
    discrete = build(space.random(rng), space, generator=_generator())
    assert discrete(x).shape == wanted, f"the outputs must have the shape {wanted}, got {tuple(discrete(x).shape)}"


def _check_supernet(space: Stacked, x: Tensor, wanted: tuple[int, ...]) -> None:
    """The part of `check_space` that needs a supernet."""
    net = plain(space, norm=BatchNorm(affine=False, track=False), generator=_generator())
    mix: dict[str, Tensor] = {g.name: torch.full(g.shape, 1 / g.shape[1]).requires_grad_() for g in space.groups}
    watched = _watch_roles(space, net)
    outputs = net(x, mix)[0] if net.carries else net(x, mix)
    for hook in watched:
        hook.remove()
    assert outputs.shape == wanted, f"the outputs must have the shape {wanted}, got {tuple(outputs.shape)}"
    grads = torch.autograd.grad(outputs.square().sum(), list(mix.values()))
    for name, grad in zip(mix, grads, strict=True):
        assert grad.isfinite().all(), f"the gradient of group {name} must be finite"
        assert grad.abs().sum() > 0, f"the mixing weights of group {name} must reach the outputs"
    for group, grad in zip(space.groups, grads, strict=True):
        for e, decision in enumerate(group.decisions):
            absent = [o for o, option in enumerate(decision.options) if group.is_absent(option)]
            assert not grad[e, absent].any(), f"an absent option of edge {e} of {group.name} must add nothing"


@undisturbed()
def check_module_space(space: ModuleSpace, *, samples: int = 20) -> None:
    """The contract of a space in a model, made by `mixop.spaces.in_module`.

    Its description is JSON and reads back; every architecture that it counts is one of those that it lists, reaches what it
    decides, and survives its native text and JSON; the supernet gives finite outputs at uniform mixing weights, the same ones
    for the same arguments, with a finite gradient for every decision; and the network that is built from an architecture
    computes, with the supernet's weights, what the supernet computes at one-hot mixing weights, with nothing of mixop inside.

    Args:
        space: the space to check, with an example or fitted to data, small enough to run on a CPU.
        samples: random architectures that are looked at.

    Example:
        >>> from mixop.nets.modules.choice import Choice
        >>> from mixop.nets.modules.space import in_module
        >>> net = nn.Sequential(Choice([nn.Linear(4, 3), nn.Linear(4, 3, bias=False)]))
        >>> check_module_space(in_module(net, torch.zeros(2, 4)))
    """
    described = json.loads(json.dumps(describe_space(space)))
    again = from_plain(described["space"], Space, SPACE_PARTS, "space")
    assert describe_space(again) == describe_space(space), "the description of a space must be lossless"
    names = [group.name for group in space.groups]
    assert len(set(names)) == len(names), f"decisions must have different names, got {', '.join(names)}"
    rng = random.Random(0)
    drawn = [space.random(rng) for _ in range(samples)]
    if space.size() <= 2000:
        listed = list(space.architectures())
        assert len(set(listed)) == len(listed) == space.size(), "the size must be the number of architectures"
        assert set(drawn) <= set(listed), "random architectures must be among those of the space"
    for architecture in drawn:
        space.check(architecture)
        assert space.settled(architecture) == architecture, "an architecture must decide what it reaches, and nothing else"
        assert space.from_native(space.to_native(architecture)) == architecture, "the native text must be lossless"
        text = json.dumps(describe_architecture(space, architecture))
        assert read_architecture(space, json.loads(text)) == architecture, "architecture.json must be lossless"
    _check_module_supernet(space, drawn)


def _check_module_supernet(space: ModuleSpace, architectures: Sequence[Architecture]) -> None:
    x = space.inputs(4, _generator())
    net = module_supernet(space, norm=BatchNorm(), generator=_generator())
    mix: dict[str, Tensor] = {g.name: torch.full(g.shape, 1 / g.shape[1]).requires_grad_() for g in space.groups}

    def outputs_of(run: Callable[..., Any], *arguments: Any) -> list[Tensor]:
        with fenced(_generator()):
            given = run(*arguments)
        return [leaf for leaf in tree_leaves(given) if isinstance(leaf, Tensor) and leaf.is_floating_point()]

    outputs = outputs_of(net, x, mix)  # in training mode: statistics are then no longer those of a fresh network
    assert outputs, "a model must give numbers"
    assert all(value.isfinite().all() for value in outputs), "the outputs at uniform mixing weights must be finite"
    total = torch.stack([value.square().sum() for value in outputs]).sum()
    grads = torch.autograd.grad(total, list(mix.values()), allow_unused=True)
    for name, grad in zip(mix, grads, strict=True):
        assert grad is not None, f"the mixing weights of {name} must reach the outputs"
        assert grad.isfinite().all(), f"the gradient of {name} must be finite"
    net.eval()
    with torch.no_grad():
        one, other = (outputs_of(net, x, mix) for _ in range(2))
        torch.testing.assert_close(one, other, rtol=0, atol=0, msg="equal arguments must give equal outputs")
        state = {name.removeprefix("model."): value for name, value in net.state_dict().items()}
        for architecture in dict.fromkeys(architectures):
            network = build(architecture, space, generator=_generator())
            network.load_state_dict(sliced(space, architecture, state))
            inside = [type(module).__name__ for module in network.modules() if isinstance(module, Decided)]
            assert not inside, f"a network must have no choices left, got {', '.join(inside)}"
            path = one_path(space, architecture, mix)
            call_of = partial(network.eval(), x, ()) if net.carries else partial(call, network.eval(), x)
            # One path adds zeros to what its option gives: float32 rounds the two alike, but for sums of several inputs.
            native = space.to_native(architecture)
            torch.testing.assert_close(
                outputs_of(net, x, *path),
                outputs_of(call_of),
                rtol=1e-4,
                atol=1e-5,
                msg=lambda text, native=native: f"the network of {native} must be the supernet's path: {text}",
            )


def _watch_roles(space: Stacked, net: Supernet) -> list[RemovableHandle]:
    """Hooks on every operation of a plain supernet whose option has a role: it must compute what the role says."""
    hooks = []
    for number, layer in enumerate(space.layers):
        if layer.kind != "cell":
            continue
        graph = space.graph_of(layer)
        for e, (group, _, decision) in enumerate(space.edges_of(layer)):
            assert group.roles == space.roles, f"group {group.name} must be made with the roles of its space, roles=self.roles"
            _, stride = edge_shape(layer, graph, decision)
            for o, option in enumerate(decision.options):
                module = net.get_submodule(f"layers.{number}.edges.{e}.options.{o}")
                if group.is_absent(option):
                    hooks.append(module.register_forward_hook(_must_be_absent(option)))
                elif group.is_skip(option) and stride == 1:
                    hooks.append(module.register_forward_hook(_must_skip(option)))
    return hooks


def _must_be_absent(option: str) -> Hook:
    def look(_: nn.Module, __: tuple[Tensor, ...], value: Tensor) -> None:
        assert not value.any(), f"{option} is an absent option of the space, so it must be zero"

    return look


def _must_skip(option: str) -> Hook:
    def look(_: nn.Module, given: tuple[Tensor, ...], value: Tensor) -> None:
        assert torch.equal(value, given[0]), f"{option} is a skip connection of the space, so it must pass its input on"

    return look


@undisturbed()
def check_recipe(recipe: Recipe, *, space: Space | None = None, data: Data | None = None) -> None:
    """The contract of a recipe, by short searches of the toy space.

    It survives JSON; a search gives an architecture of the space; the same seed gives the same search; and a search that
    is stopped in the middle of an epoch and resumed ends, bit for bit, where the uninterrupted one ends.

    Args:
        recipe: the recipe to check; its epochs and batch size are made small.
        space: where to search; by default that of `small_space`.
        data: what to search on; by default that of `small_space`, or the toy data.

    Example:
        >>> from mixop.recipes import darts
        >>> check_recipe(darts())
    """
    assert recipe_from_json(json.loads(json.dumps(recipe_to_json(recipe)))) == recipe, "a recipe must survive JSON"
    if space is None:
        space, data = small_space(recipe)
    data = toy_set(Toy(), n=96) if data is None else data
    epochs = max(3, 2 * len(recipe.stages))
    short = replace(recipe, epochs=epochs, batch_size=16, warmup=min(recipe.warmup, 1))

    class _StopError(Exception):
        pass

    def stop_in_the_middle(record: object) -> None:
        assert isinstance(record, dict)
        if record.get("event") == "step" and (record["epoch"], record["step"]) == (2, 2):
            raise _StopError

    with tempfile.TemporaryDirectory() as folder:
        whole, torn = Path(folder) / "whole", Path(folder) / "torn"
        result = api.search(short, space, data, whole, seed=1, rates="paper", progress=False)
        result.space.check(result.architecture)
        try:
            api.search(short, space, data, torn, seed=1, rates="paper", checkpoint_seconds=0, observe=stop_in_the_middle)
        except _StopError:
            api.resume(torn, data, progress=False)
        else:
            raise AssertionError("the search must tell its steps to the observer")
        one, other = checkpoint.load(whole / STATE)["search"], checkpoint.load(torn / STATE)["search"]
        difference = first_difference(one, other)
        assert difference is None, f"a resumed search must equal the uninterrupted one, but {difference} differs"


_SAID = "the cat sat on the mat\nthe mat was red\n"


def small_space(recipe: Recipe) -> tuple[Space, Data]:
    """The first of the toy, a small NAS-Bench-201, DARTS and recurrent space that a recipe fits, and a little data for it.

    Args:
        recipe: the method.

    Raises:
        RecipeError: if it fits none of them.
    """
    images = digits(valid=0.5, seed=0)
    images = images.with_indices(images.train[:48], images.valid[:48])
    candidates: list[tuple[Space, Data]] = [
        (Toy(), toy_set(Toy(), n=96)),
        (nasbench201(channels=4, cells=1, stages=1), images),
        (darts(cells=1, channels=12), images),
        (DartsRnn(hidden=6, nodes=3), from_text(train=_SAID * 12, valid=_SAID * 8, test=_SAID, window=5)),
    ]
    refusals = []
    for space, data in candidates:
        try:
            recipe.check(space.fit(data))
        except RecipeError as refusal:
            refusals.append(refusal)
        else:
            return space, data
    raise refusals[-1]


@undisturbed()
def check_task(task: Task, outputs: Tensor, targets: Tensor) -> None:
    """The contract of a task.

    It is a frozen value that survives JSON; its loss is a differentiable scalar that does not depend on the order of the
    examples; its first measure ranks and one is called loss; its totals are None before the first example, add up to the same
    however the examples are divided into batches, agree with the loss, and go on after a checkpoint; its predictions are one
    for each example; and torch's global generator stays untouched.

    Args:
        task: the task to check, complete.
        outputs: what a network could give, ``(B, K)`` or ``(B, K, *positions)`` with B >= 3; taken as float64.
        targets: what was right for each example, as the task stores them.

    Example:
        >>> from mixop.tasks import Regression
        >>> check_task(Regression(mean=(0.0,), std=(1.0,)), torch.randn(5, 1), torch.randn(5))
    """
    assert dataclasses.is_dataclass(task), "a task must be a dataclass"
    assert type(task).__dataclass_params__.frozen, "a task must be frozen: @dataclass(frozen=True)"  # type: ignore[attr-defined]
    plain_task = json.loads(json.dumps(to_plain(task)))
    assert from_plain(plain_task, Task, TASK_PARTS, "task") == task, "a task must survive JSON"
    names = [measure.name for measure in task.measures]
    assert len(set(names)) == len(names), f"measures need different names, got {names}"
    assert "loss" in names, f"one measure must be called loss, got {names}"
    assert task.measure("loss").better == "lower", "a loss is better when it is lower"
    count = len(outputs)
    assert count >= 3, f"the check needs at least 3 examples, got {count}"
    assert outputs.dim() >= 2, f"outputs must be (B, K) or (B, K, *positions), got {tuple(outputs.shape)}"
    assert outputs.shape[1] == task.outputs, f"outputs must be (B, {task.outputs}, ...), got {tuple(outputs.shape)}"
    assert task.dense == (outputs.dim() > 2), "dense must say whether there is an output at every position"
    targets = task.stored(targets)
    task.check(targets, "checked")
    assert task.complete(targets) == task, "a task that is complete must stay as it is"
    assert task.smoothed(0) == task, "smoothing by 0 must change nothing"
    before = torch.get_rng_state()

    leaf = outputs.detach().double().requires_grad_()
    loss = task.loss(leaf, targets)
    assert loss.shape == (), f"the loss must be a scalar, got {tuple(loss.shape)}"
    assert loss.isfinite(), "the loss must be finite"
    (grad,) = torch.autograd.grad(loss, leaf)
    assert grad.isfinite().all(), "the gradient of the loss must be finite"
    assert grad.abs().sum() > 0, "the loss must depend on the outputs"
    order = torch.arange(count - 1, -1, -1)
    torch.testing.assert_close(task.loss(leaf[order], targets[order]), loss, msg="the order of examples must not matter")

    totals = task.totals()
    assert totals.value() == dict.fromkeys(names), f"before the first example every measure must be None, got {totals.value()}"
    totals.add(leaf, targets)
    whole = totals.value()
    assert list(whole) == names, f"totals must measure {names}, got {list(whole)}"
    assert all(type(value) is float for value in whole.values()), f"measured values must be floats, got {whole}"
    _same(whole["loss"], loss.item(), "the totals of one batch must give its loss")
    spared = task.totals()
    spared.add(leaf, targets, loss)
    for name, value in spared.value().items():
        _same(value, whole[name], f"{name} must be the same where the loss of the batch is given")
    for size in (1, 2, count - 1):
        parts, again = task.totals(), task.totals()
        for start in range(0, count, size):
            parts.add(leaf[start : start + size], targets[start : start + size])
            again.add(leaf[start : start + size], targets[start : start + size])
            again = _reloaded(again, task.totals())
        assert again.value() == parts.value(), "totals must go on after a checkpoint as if there had been none"
        for name, value in parts.value().items():
            _same(value, whole[name], f"{name} must not depend on how examples are divided into batches")
    with torch.no_grad():
        assert len(task.predict(leaf)) == count, "there must be one prediction for each example"
    assert torch.equal(torch.get_rng_state(), before), "torch's global generator must stay untouched"


def _same(one: float | None, other: float | None, message: str) -> None:
    assert one is not None, message
    assert other is not None, message
    # Sums of float64 in another order; a variance loses as many digits again.
    assert abs(one - other) <= 1e-9 * max(1.0, abs(other)), f"{message}: {one} and {other}"


def _reloaded(totals: Totals, empty: Totals) -> Totals:
    """Fresh totals that hold what others held, through a file."""
    file = io.BytesIO()
    torch.save(totals.state_dict(), file)
    file.seek(0)
    empty.load_state_dict(torch.load(file, weights_only=True))
    return empty


def first_difference(one: object, other: object, where: str = "state") -> str | None:
    """The path to the first place where two saved states differ in a bit, times apart; None if they are the same."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
        return None if same else where
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return f"{where} ({sorted(map(str, one.keys() ^ other.keys()))})"
        found = (first_difference(one[key], other[key], f"{where}.{key}") for key in one if key != "seconds")
        return next((path for path in found if path), None)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        found = (first_difference(a, b, f"{where}[{i}]") for i, (a, b) in enumerate(zip(one, other, strict=True)))
        return next((path for path in found if path), None)
    return None if one == other else where


@undisturbed()
def check_searcher(searcher: Searcher, *, space: Space | None = None, trials: int = 25) -> None:
    """The contract of a black-box searcher.

    It is a frozen value that survives JSON; it asks for architectures of the space, the same one until it is told its score;
    asking leaves the state as it is; a state survives JSON after every trial and goes on alike; the same seed makes the same
    search, and no global generator is touched.

    Args:
        searcher: the part to check.
        space: the space to check it in; default the toy.
        trials: how many it is told, >= 2.
    """
    space = space or Toy()
    assert dataclasses.is_dataclass(searcher), "a searcher must be a dataclass"
    assert type(searcher).__dataclass_params__.frozen, "a searcher must be frozen: @dataclass(frozen=True, kw_only=True)"  # type: ignore[attr-defined]
    json.dumps(to_plain(searcher))
    before = random.getstate(), torch.get_rng_state()
    state, twin = (searcher.start(space, random.Random(7)) for _ in range(2))
    for number in range(1, trials + 1):
        kept = json.dumps(state_to_json(state), allow_nan=False)
        trial = searcher.ask(state)
        assert json.dumps(state_to_json(state)) == kept, "ask must leave the state as it is"
        assert searcher.ask(state) == trial, "asking again must give the same trial"
        assert searcher.ask(twin) == trial, "the same seed must make the same search, and a state must survive JSON"
        if trial is None:  # the space is used up
            break
        assert trial.number == number, f"trials are counted from 1, got {trial.number} for the {number}th"
        assert trial.epochs >= 1, f"a training has at least 1 epoch, got {trial.epochs}"
        space.check(trial.architecture)
        digest = hashlib.sha256(space.to_native(trial.architecture).encode()).digest()
        score = None if number % 6 == 2 else digest[0] / 255  # some trainings diverge
        searcher.tell(state, trial, score, 1.0)
        searcher.tell(twin, trial, score, 1.0)
        twin = state_from_json(space, json.loads(json.dumps(state_to_json(twin))))
        assert state_to_json(twin) == state_to_json(state), "a state must survive JSON"
    assert state.told >= 2, f"a searcher tries more than {state.told} architectures"
    assert random.getstate() == before[0], "a searcher must not touch the global generator of random"
    assert torch.equal(torch.get_rng_state(), before[1]), "a searcher must not touch torch's global generator"
