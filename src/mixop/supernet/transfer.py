"""Carrying weights from one stage of a search to the next: fewer options on an edge, wider operations, other wraps."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Generator, Tensor, nn

from mixop.core.errors import RecipeError
from mixop.spaces.stacked import stacked
from mixop.supernet.base import Supernet
from mixop.supernet.cells import CellSupernet
from mixop.supernet.widen import Carry, DrawMap, map_drawer, plan_operation

Kept = Mapping[str, Sequence[Sequence[int]]]
"""Group name -> for each decision the old option that each new option stands for; a group left out keeps all."""

Plan = dict[str, tuple[str, Carry]]
"""Name in the new network -> name in the old one, and how its tensor is carried."""


@torch.no_grad()
def transfer(
    old: Supernet,
    new: Supernet,
    kept: Kept,
    *,
    generator: Generator,
    preserve: bool = False,
) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
    """Writes the weights and buffers of one stage's supernet into the next one's.

    Operations on edges may be left out and may become wider; everything else has equal shapes and is copied, as is a network
    that does not change at all. A wrap with weights that only the new network has keeps its fresh ones.

    Args:
        old: the supernet that has the weights.
        new: the next stage's supernet, same layers; it is written to.
        kept: the old option that each new option stands for.
        generator: source of the index maps of widened operations, on the CPU.
        preserve: whether an operation whose inputs are duplicated gives its old outputs, duplicated (Net2Net). It says
            nothing about a whole network under partial channels, whose wider operations see other channels than before.

    Returns:
        A function that carries what an optimiser remembers of the weights (their momentum) by the same maps: from tensors by
        the names of the old parameters, any of which may be missing, to tensors by those of the new ones.

    Raises:
        RecipeError: if the layers differ, an option does not stand for an old one of its name, an operation would shrink, or
            a shape cannot be reached.

    Source: Chen et al. 2021 (arXiv:2006.10355), section 3.3, and the authors' code; ``preserve``: Chen, Goodfellow & Shlens
        2016 (arXiv:1511.05641), section 2.
    """
    if not (isinstance(old, CellSupernet) and isinstance(new, CellSupernet)):
        return _by_name(old, new)
    plan = plan_transfer(old.reference, new.reference, kept, generator=generator, preserve=preserve)
    before, after = old.state_dict(), new.state_dict()
    carried = {name: carry(before[source]) for name, (source, carry) in plan.items()}
    for name, value in carried.items():
        if value.shape != after[name].shape:
            raise RecipeError(
                f"Cannot carry {name} from stage to stage: its shape changes from {tuple(before[plan[name][0]].shape)} to "
                f"{tuple(after[name].shape)}; keep the sizes of the network around its edges, or give the stage start='fresh'."
            )
    for name, value in carried.items():
        after[name].copy_(value)

    def carry_buffers(buffers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        theirs = old.to_plain(buffers)
        return new.from_plain({name: carry(theirs[source]) for name, (source, carry) in plan.items() if source in theirs})

    return carry_buffers


def _by_name(old: Supernet, new: Supernet) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
    """The transfer between supernets of a user's model: its options keep their names and shapes when others are pruned."""
    before = old.state_dict()
    new.load_state_dict({name: before[name] for name in new.state_dict()})
    names = {name for name, _ in new.named_parameters()}
    return lambda tensors: {name: value.clone() for name, value in tensors.items() if name in names}


def plan_transfer(old: CellSupernet, new: CellSupernet, kept: Kept, *, generator: Generator, preserve: bool = False) -> Plan:
    """For each tensor of the new network where it comes from; the arguments are those of `transfer`, of plain executors."""
    kinds, wanted = ([(spec.kind, spec.group) for spec in net.specs] for net in (old, new))
    if kinds != wanted:
        raise RecipeError(
            f"Weights can be carried from stage to stage only between networks of the same layers, got "
            f"{len(kinds)} and {len(wanted)} layers, or other kinds: keep the cells, or give the stage start='fresh'."
        )
    sources = {group.name: _sources(old, new, group.name, kept) for group in new.space.groups}
    space = stacked(new.space)
    plan: Plan = {}
    for i, (spec, before, after) in enumerate(zip(new.specs, old.layers, new.layers, strict=True)):
        # A cell may have layers of its own around its edges.
        plan |= _copied(f"layers.{i}.", before, after, but="edges." if spec.kind == "cell" else None)
        if spec.kind == "cell":
            theirs, mine = before.get_submodule("edges").children(), after.get_submodule("edges").children()
            rows = [sources[edge.group.name][edge.row] for edge in space.edges_of(spec)]
            for e, (edge, wider, indices) in enumerate(zip(theirs, mine, rows, strict=True)):
                draw = map_drawer(generator, preserve=preserve)
                plan |= _edge(f"layers.{i}.edges.{e}.", edge, wider, indices, draw, preserve)
    return plan


def _sources(old: CellSupernet, new: CellSupernet, group: str, kept: Kept) -> list[tuple[int, ...]]:
    """For each decision the old option that every new one stands for."""
    olds, news = old.space.group(group).decisions, new.space.group(group).decisions
    chosen = kept.get(group, [range(len(decision.options)) for decision in olds])
    if not len(chosen) == len(olds) == len(news):
        raise RecipeError(
            f"Group {group!r} has {len(olds)} decisions, then {len(news)}, with options for {len(chosen)} of them: keep "
            "every decision from stage to stage."
        )
    for e, (before, after, indices) in enumerate(zip(olds, news, chosen, strict=True)):
        names = [before.options[o] if 0 <= o < len(before.options) else f"option {o}" for o in indices]
        if names != list(after.options):
            raise RecipeError(
                f"On edge {e} of {group} the next stage has {', '.join(after.options)}, but takes its weights from "
                f"{', '.join(names)}: build its space with Space.prune and the same options."
            )
    return [tuple(indices) for indices in chosen]


def _copied(prefix: str, old: nn.Module, new: nn.Module, *, but: str | None = None) -> Plan:
    """Every tensor as it is; names that begin with ``but`` are left out."""
    before, after = ({k for k in module.state_dict() if not (but and k.startswith(but))} for module in (old, new))
    if before != after:
        names = ", ".join(prefix + name for name in sorted(before ^ after))
        raise RecipeError(
            f"Only edges may change from stage to stage, but {names} is in one network only: keep the batch norm and the sizes "
            "of the network, or give the stage start='fresh'."
        )
    return {prefix + name: (prefix + name, Carry()) for name in new.state_dict() if name in after}


def _edge(prefix: str, old: nn.Module, new: nn.Module, indices: Sequence[int], draw: DrawMap, preserve: bool) -> Plan:
    """The operations of an edge, and what its wraps hold besides the edge that they are around."""
    (*old_wraps, (old_at, old_edge)), (*new_wraps, (new_at, new_edge)) = _unwrapped(prefix, old), _unwrapped(prefix, new)
    plan: Plan = {}

    def carry(old_name: str, source: nn.Module, new_name: str, target: nn.Module) -> None:
        operation = plan_operation(source, target, draw, preserve=preserve)
        plan.update({f"{new_name}.{key}": (f"{old_name}.{key}", carry) for key, carry in operation.items()})

    for o, source in enumerate(indices):
        theirs, mine = f"options.{source}", f"options.{o}"
        carry(old_at + theirs, old_edge.get_submodule(theirs), new_at + mine, new_edge.get_submodule(mine))
    same_kind = {type(wrap): (at, wrap) for at, wrap in old_wraps}
    for at, wrap in new_wraps:
        if type(wrap) not in same_kind:
            continue
        old_at, source = same_kind[type(wrap)]
        plan |= {at + key: (old_at + key, Carry()) for key in wrap.state_dict() if "." not in key}
        for key, child in wrap.named_children():
            if key != "inner":
                carry(old_at + key, source.get_submodule(key), at + key, child)
    return plan


def _unwrapped(prefix: str, edge: nn.Module) -> list[tuple[str, nn.Module]]:
    """The wraps of an edge from the outside in, at last the edge that has the options; with the prefixes of their names."""
    chain = [(prefix, edge)]
    while not hasattr(edge, "options"):
        prefix, edge = f"{prefix}inner.", edge.get_submodule("inner")
        chain.append((prefix, edge))
    return chain
