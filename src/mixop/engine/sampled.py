"""An architecture sampled from a relaxation, as derivations and monitors see it."""

import torch
from torch import Generator

from mixop.core.types import Draw, Params, paths_of
from mixop.derive.base import architecture_from, several
from mixop.engine.problem import SupernetProblem
from mixop.relax.sampling import some_edges
from mixop.spaces.core import Architecture, Group


def sampled(problem: SupernetProblem, params: Params, generator: Generator) -> Architecture:
    """Of a draw the option of largest weight in every decision.

    Of a group that keeps some edges of every node, those that run, or as many drawn uniformly if all do.

    Args:
        problem: its draws.
        params: architecture parameters by group.
        generator: source of the draw.
    """
    with torch.no_grad():
        draws = problem.draw(params, generator, by_cell=False)
    space, pairs = problem.space, {}
    for group in space.groups:
        draw = draws[group.name]
        if group.take > 1:
            pairs[group.name] = several(draw.weights.tolist(), group)
            continue
        kept = _kept_twice(group, draw) if space.repeats else None
        if kept is not None:
            pairs[group.name] = kept
            continue
        options = draw.weights.argmax(-1).tolist()
        running = [e for e in range(len(group.decisions)) if draw.active is None or draw.active[e]]
        if group.keep:
            running = _without_absent(group, running, options)
        pairs[group.name] = [(e, options[e]) for e in some_edges(group, running, generator)]
    return architecture_from(space, pairs)


def _kept_twice(group: Group, draw: Draw) -> list[tuple[int, int]] | None:
    """The edges and options of a draw that keeps as many edges into every node as an architecture does, some of them twice.

    None where it does not, and it has to be drawn which edges are kept.
    """
    if draw.active is None:
        return None
    paths = paths_of(draw.active, 0)
    kept = [(e, o) for e, path in enumerate(paths) for o in path for _ in range(round(draw.weights[e, o].item()))]
    counts = [sum(e in edges for e, _ in kept) - min(group.keep, len(edges)) for edges in map(group.into, group.targets)]
    return None if any(counts) else kept


def _without_absent(group: Group, edges: list[int], options: list[int]) -> list[int]:
    """The edges without those that took an absent option, but for nodes that would be left with too few."""
    kept = []
    for target in group.targets:
        there = [e for e in group.into(target) if e in edges]
        some = [e for e in there if not group.is_absent(group.decisions[e].options[options[e]])]
        kept += some if len(some) >= group.keep else there
    return kept
