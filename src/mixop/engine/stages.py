"""From one stage of a search to the next: the space is pruned and deepened, the network rebuilt, its weights carried or not."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from mixop.core.types import Mix
from mixop.engine.settings import Settings
from mixop.engine.state import SearchState, initial_memory, initial_params, stage_net, stage_space
from mixop.nets.training import trained
from mixop.recipe.core import Recipe
from mixop.recipe.stage import stage_ends
from mixop.spaces.core import Space
from mixop.supernet.transfer import transfer

Kept = dict[str, list[list[int]]]
"""Group name -> for each decision its options that are left, as indices into the options of the whole space."""


def stage_begins(recipe: Recipe, state: SearchState) -> bool:
    """Whether the state stands at the end of a stage that another one follows."""
    ends = stage_ends(recipe.stages, recipe.epochs)
    return state.stage + 1 < len(ends) and state.epoch >= ends[state.stage]


def best_of(mean: Tensor, count: int) -> list[list[int]]:
    """For each decision the options of largest mean weight, in increasing order; the first ones on ties.

    Args:
        mean: mean mixing weights ``(E, O)``.
        count: how many to keep, at most O.
    """
    rows = mean.tolist()
    return [sorted(sorted(range(len(row)), key=lambda o: (-row[o], o))[:count]) for row in rows]


def expand(mean: Mix, kept: Kept, space: Space) -> dict[str, Tensor]:
    """Mean mixing weights over the options of the whole space: zero where an option was pruned, with all decisions in it."""
    whole = dict(mean)
    like = next(iter(mean.values()))
    for group in space.groups:
        if group.name in kept:
            row = torch.zeros(group.shape, dtype=like.dtype, device=like.device)
            if group.name in mean:
                row = row.scatter(1, torch.tensor(kept[group.name], device=like.device), mean[group.name])
            whole[group.name] = row
    return whole


def begin_stage(state: SearchState, recipe: Recipe, base: Space, mean: Mix, settings: Settings) -> None:
    """Turns the state at the end of a stage into that at the start of the next one.

    Args:
        state: is changed.
        recipe: of the search.
        base: the whole space, as the search was begun with.
        mean: mean mixing weights at the end of the stage.
        settings: of the run.
    """
    stage = recipe.stages[state.stage + 1]
    old_net, old_space = state.net, state.space
    local = {}
    for group in old_space.groups:
        count = group.shape[1] if stage.options is None else min(stage.options, group.shape[1])
        local[group.name] = best_of(mean[group.name], count)
    before = state.kept or {g.name: [list(range(g.shape[1]))] * g.shape[0] for g in base.groups}
    # A decision inside a pruned option is no longer decided; what was left of it stays as it was.
    state.kept = before | {
        name: [[whole[o] for o in row] for whole, row in zip(before[name], rows, strict=True)] for name, rows in local.items()
    }
    state.stage += 1
    state.weight_stream.state = state.architecture_stream.state = None  # of another network
    state.space = stage_space(base, recipe, state.stage, state.kept)
    random = state.generators["init"]
    state.net = stage_net(state.space, recipe, state.stage, random, settings)
    if stage.start == "fresh":
        state.params = initial_params(recipe, state.net, random, settings)
        state.build_optimisers(recipe)
        state.memory.clear()
        state.memory.update(initial_memory(recipe, state.space, state.generators["memory"]))
        return
    carry = transfer(old_net, state.net, local, generator=random, preserve=stage.preserve)
    _carry_weights(state, recipe, _trained_names(old_net), carry)
    _carry_params(state, recipe, local)


def _carry_weights(
    state: SearchState, recipe: Recipe, old_names: Sequence[str], carry: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
) -> None:
    """A new optimiser of the weights, with what the old one remembers of each of them carried like the weight itself."""
    old = state.weight_optimiser.state_dict()
    state.weight_optimiser = recipe.weight_optimiser.build(trained(state.net))
    new = state.weight_optimiser.state_dict()
    shaped: dict[str, dict[str, Tensor]] = {}  # momentum and the like: key -> parameter -> tensor
    plain: dict[str, object] = {}  # counts of steps, the same for every parameter
    for i, values in old["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor) and value.dim() > 0:
                shaped.setdefault(str(key), {})[old_names[int(i)]] = value
            elif value is not None:
                plain[str(key)] = value
    carried = {key: carry(tensors) for key, tensors in shaped.items()}
    for i, name in enumerate(_trained_names(state.net)):
        its = {key: tensors[name] for key, tensors in carried.items() if name in tensors}
        if its:
            new["state"][i] = {**plain, **its}
    for group, before in zip(new["param_groups"], old["param_groups"], strict=True):
        group.update({key: value for key, value in before.items() if key != "params"})
    state.weight_optimiser.load_state_dict(new)


def _trained_names(net: nn.Module) -> list[str]:
    """The names of what an optimiser holds, in its order."""
    return [name for name, weight in net.named_parameters() if weight.requires_grad]


def _carry_params(state: SearchState, recipe: Recipe, local: Mapping[str, list[list[int]]]) -> None:
    """Architecture parameters and what their optimiser remembers, without those of pruned options and all inside them."""

    def pruned(name: str, value: Tensor) -> Tensor:
        return recipe.relaxation.prune(value, local[name]) if name in local else value.clone()

    old = state.architecture_optimiser.state_dict()
    numbers = {name: number for number, name in enumerate(state.params)}
    state.params = {group.name: pruned(group.name, state.params[group.name]) for group in state.net.groups}
    state.architecture_optimiser = recipe.architecture_optimiser.build(state.params.values())
    remembered = {}
    for i, name in enumerate(state.params):
        remembered[i] = {
            key: pruned(name, value) if isinstance(value, Tensor) and value.dim() > 1 else value
            for key, value in old["state"].get(numbers[name], {}).items()
        }
    (group,) = old["param_groups"]
    state.architecture_optimiser.load_state_dict(
        {
            "state": {i: values for i, values in remembered.items() if values},
            "param_groups": [{**group, "params": list(range(len(remembered)))}],
        }
    )
