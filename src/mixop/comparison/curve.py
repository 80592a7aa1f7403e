"""What networks of one supernet achieve under several ceilings on their cost, beside networks made smaller by hand."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from mixop.api import SearchResult, retrain
from mixop.core.door import door
from mixop.core.errors import RecipeError
from mixop.core.measure import Measure
from mixop.data.core import Data, Source
from mixop.data.given import MapStyle, given
from mixop.derive.ceiling import UnderCeiling
from mixop.engine.driver import Observer
from mixop.evaluate.protocol import PROTOCOLS, Protocol
from mixop.evaluate.start import trained_supernet
from mixop.nets.costs import Cost, ceiling_of, costs_of, words_of
from mixop.nets.modules.space import ModuleSpace
from mixop.report.curve import Line, against_cost
from mixop.runs.directory import RunDirectory
from mixop.runs.files import CURVE, CURVE_FIGURE, CURVE_TABLE
from mixop.runs.records import Values, to_record
from mixop.spaces.core import Architecture, Space

Way = Literal["pruned", "narrow", "from scratch"]


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One network of a curve.

    Args:
        way: ``pruned``, derived from the search and fine-tuned; ``narrow``, all widths cut alike, with the same start and
            training; ``from scratch``, the narrow network trained from drawn weights.
        ceiling: on its cost.
        cost: what it costs, at most the ceiling.
        architecture: in its native notation.
        measures: of the trained network.
    """

    way: Way
    ceiling: float
    cost: float
    architecture: str
    measures: Values


@dataclass(frozen=True, kw_only=True)
class CostCurve:
    """A curve of scores against cost: the content of ``curve.json``.

    Args:
        cost: what is paid.
        full: cost of the most expensive network.
        measure: the task's first.
        points: the networks, by ceiling from the largest, and by way.
    """

    cost: str
    full: float
    measure: Measure
    points: tuple[CurvePoint, ...]

    def table(self) -> str:
        """A line for each ceiling: for each way the cost and the score."""
        ways = list(dict.fromkeys(point.way for point in self.points))
        rows = [["ceiling", *(name for way in ways for name in (f"{way}: {self.cost}", self.measure.name))]]
        for ceiling in dict.fromkeys(point.ceiling for point in self.points):
            of = {point.way: point for point in self.points if point.ceiling == ceiling}
            cells = [
                (f"{of[way].cost:,.0f}", self.measure.written(of[way].measures[self.measure.name])) if way in of else ("-", "-")
                for way in ways
            ]
            rows.append([f"{ceiling:,.0f} ({100 * ceiling / self.full:.3g} %)", *(cell for pair in cells for cell in pair)])
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "".join("  ".join(cell.rjust(width) for cell, width in zip(row, wide, strict=True)) + "\n" for row in rows)

    def figure(self) -> str:
        """The score against the cost, an ``<svg>`` element."""
        lines = []
        for way in dict.fromkeys(point.way for point in self.points):
            own = sorted((point for point in self.points if point.way == way), key=lambda point: point.cost)
            scores = [math.nan if (value := point.measures[self.measure.name]) is None else value for point in own]
            lines.append(Line(way, [point.cost for point in own], scores))
        return against_cost(lines, self.cost, self.measure, description=f"{self.measure.name} against {self.cost}")


@door()
def cost_curve(
    result: SearchResult,
    data: Data | Source | MapStyle,
    out: str | Path,
    *,
    shares: Sequence[float] = (1.0, 0.5, 0.25),
    cost: Cost = "flops",
    protocol: Protocol | None = None,
    epochs: int | None = None,
    scratch_epochs: int = 0,
    seed: int = 0,
    device: str | torch.device = "cpu",
    checkpoint_seconds: float = 30.0,
    observe: Observer | None = None,
) -> CostCurve:
    """Derives a network under each of several ceilings from one finished search, and trains each from the supernet's weights.

    Beside each stands, where one fits, the network that is narrow by hand: all widths are the same share of what they were.
    Networks are scored on the test set, and nothing is chosen by it. What is trained already is not repeated.

    Args:
        result: a finished search whose options go from the least to the most, such as that of `mixop.recipes.prune`.
        data: the data that it searched on.
        out: the directory of the curve: a run for each network, ``curve.txt``, ``curve.svg`` and ``curve.json``.
        shares: the ceilings, as shares of the most expensive network's cost, each in (0, 1] and different.
        cost: "flops", "parameters" or a table, see `mixop.regularise.CostCeiling`.
        protocol: how to train; default `PROTOCOLS` ``finetune``.
        epochs: replaces the protocol's number of epochs.
        scratch_epochs: of training the narrow networks from scratch too, by `PROTOCOLS` ``quick``; 0 leaves that out. Give as
            many as the model was trained, searched and fine-tuned for.
        seed: of data order, augmentation and weights that are drawn.
        device: where torch computes.
        checkpoint_seconds: least time between two checkpoints, in seconds.
        observe: called with every step and record.

    Raises:
        RecipeError: for shares that are out of range or below the cheapest network.
        MixopError: as `mixop.retrain`.
    """
    if not shares or len(set(shares)) != len(shares):
        raise RecipeError(f"A curve needs at least one share, all of them different, got {list(shares)}.")
    if isinstance(scratch_epochs, bool) or not isinstance(scratch_epochs, int) or scratch_epochs < 0:
        raise RecipeError(f"scratch_epochs must be a whole number of at least 0, got {scratch_epochs!r}.")
    data, space = given(data), result.space
    rules = [UnderCeiling(share=share, cost=cost) for share in sorted(shares, reverse=True)]
    for rule in rules:
        rule.check(space, result.recipe.norm)
    supernet = trained_supernet(RunDirectory(result.out))
    protocol = protocol or PROTOCOLS["finetune"]
    if epochs is not None:
        protocol = replace(protocol, epochs=epochs)
    costs, points = costs_of(space, cost), []
    folder = Path(out)
    for rule in rules:
        ceiling = ceiling_of(space, cost, None, rule.share)
        pruned = space.from_native(supernet.space.to_native(rule(supernet.mean, supernet.space)))
        narrow = narrow_network(space, ceiling, cost)
        plan: list[tuple[Way, Architecture]] = [("pruned", pruned)]
        if narrow is not None:
            plan.append(("narrow", narrow))
        if narrow is not None and scratch_epochs:
            plan.append(("from scratch", narrow))
        for way, architecture in plan:
            kept = {"seed": seed, "device": device, "checkpoint_seconds": checkpoint_seconds, "observe": observe}
            place = folder / f"{way.replace(' ', '-')}-{rule.share:g}"
            if way == "from scratch":
                trained = retrain(architecture, space, data, place, epochs=scratch_epochs, **kept)
            else:
                trained = retrain(
                    architecture, space, data, place, protocol=protocol, start="supernet", supernet=result.out, **kept
                )
            points.append(
                CurvePoint(
                    way=way,
                    ceiling=ceiling,
                    cost=costs.of(architecture, space),
                    architecture=space.to_native(architecture),
                    measures=trained.measures,
                )
            )
    curve = CostCurve(cost=words_of(cost), full=costs.most(), measure=data.task.first, points=tuple(points))
    run = RunDirectory(out)
    run.write_json(CURVE, to_record(curve))
    run.save(CURVE_TABLE, curve.table().encode())
    run.save(CURVE_FIGURE, (curve.figure() + "\n").encode())
    return curve


def narrow_network(space: Space, ceiling: float, cost: Cost) -> Architecture | None:
    """The network that a person would make smaller by hand: all widths are the same share of what they were.

    Args:
        space: of a model with widths; other choices take their last option.
        ceiling: on the cost.
        cost: the measure.

    Returns:
        The largest such network under the ceiling; None where there is none.
    """
    widths = space.widths if isinstance(space, ModuleSpace) else {}
    fitting, costs = [], costs_of(space, cost)
    for fraction in sorted({float(option) for options in widths.values() for option in options}):
        ranks = [[len(row.options) - 1 for row in group.decisions] for group in space.groups]
        for row, group in zip(ranks, space.groups, strict=True):
            if group.name in widths:
                # Widths may have different fractions: each takes its largest that is not above, or its first.
                row[:] = [max(sum(float(option) <= fraction for option in widths[group.name]) - 1, 0)]
        architecture = space.architecture(ranks)
        if costs.of(architecture, space) <= ceiling:
            fitting.append(architecture)
    return fitting[-1] if fitting else None
