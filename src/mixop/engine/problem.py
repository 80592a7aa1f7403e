"""The bilevel problem of a supernet: the two losses that schemes differentiate."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor
from torch.utils._pytree import tree_map

from mixop.bilevel.base import InnerStep
from mixop.core.ranks import ALONE, Ranks
from mixop.core.rng import draw_seed, draws_unseen, fenced, watched
from mixop.core.schedules import Progress
from mixop.core.share import Share
from mixop.core.transfer import constant, upload_all
from mixop.core.types import (
    DROPPED,
    Active,
    Batch,
    CellPaths,
    Draw,
    Mix,
    Params,
    Paths,
    detached,
    in_float32,
    is_by_cell,
    paths_of,
)
from mixop.engine.accumulate import in_pieces, pieces_of
from mixop.engine.capture import CapturedLoss
from mixop.nets.added import added_losses, total_loss
from mixop.nets.tensors import NamedTensors
from mixop.recipe.core import Recipe
from mixop.regularise.base import Point
from mixop.relax.base import Relaxation
from mixop.spaces.core import Group, Space
from mixop.supernet.base import Supernet
from mixop.supernet.divided import divided
from mixop.tasks.base import Task, Totals
from mixop.tasks.sums import values_of


def mix_of(draws: Mapping[str, Draw]) -> tuple[Mix, Active | None]:
    """The arguments of a supernet that draws stand for."""
    mix = {name: draw.weights for name, draw in draws.items()}
    active = {name: draw.active for name, draw in draws.items() if draw.active is not None}
    return mix, active if len(active) == len(mix) else None


def fix_rows(weights: Tensor, fixed: Mapping[int, int]) -> Tensor:
    """Mixing weights ``(..., E, O)`` whose rows of the given decisions are constants: one-hot, or zero where it is dropped."""
    if not fixed:
        return weights
    edges, options = weights.shape[-2:]
    hot = [float(o == fixed.get(e, DROPPED)) for e in range(edges) for o in range(options)]
    made = constant(tuple(float(e in fixed) for e in range(edges)), weights)[:, None] > 0
    return torch.where(made, constant(tuple(hot), weights).view(edges, options), weights)


def with_fixed(draw: Draw, fixed: Mapping[int, int]) -> Draw:
    """A draw in which the given decisions take the given options; only those then run."""
    if not fixed:
        return draw
    made = {e: () if o == DROPPED else (o,) for e, o in fixed.items()}

    def with_made(paths: Paths) -> Paths:
        return tuple(made.get(e, path) for e, path in enumerate(paths))

    active = None if draw.active is None else _each(with_made, draw.active)
    return replace(draw, weights=fix_rows(draw.weights, fixed), active=active)


def _each(change: Callable[[Paths], Paths], paths: Paths | CellPaths) -> Paths | CellPaths:
    """Paths with a change, that of each cell where they are by cell."""
    cells = range(len(paths)) if is_by_cell(paths) else None
    return change(paths_of(paths, 0)) if cells is None else tuple(change(paths_of(paths, cell)) for cell in cells)


def joined(draws: Sequence[Draw]) -> Draw:
    """One draw by cell, of those of the cells."""
    scores = [draw.log_prob for draw in draws if draw.log_prob is not None]
    active = tuple(draw.active for draw in draws if draw.active is not None)
    return Draw(
        torch.stack([draw.weights for draw in draws]),
        log_prob=torch.stack(scores).sum() if scores else None,
        active=active if active else None,  # type: ignore[arg-type]  # those of cells are not by cell themselves
    )


def together(one: Active | None, other: Active | None) -> Active | None:
    """The options that run in one of two passes, by group; None if all run in one of them."""
    if one is None or other is None:
        return None
    if not one:
        return other

    def both(name: str, cell: int) -> Paths:
        pairs = zip(paths_of(one[name], cell), paths_of(other[name], cell), strict=True)
        return tuple(tuple(dict.fromkeys((*a, *b))) for a, b in pairs)

    return {
        name: tuple(both(name, cell) for cell in range(len(paths))) if is_by_cell(paths) else both(name, 0)
        for name, paths in one.items()
    }


class Seen(NamedTuple):
    """Loss, outputs and targets of a forward pass, without a gradient."""

    loss: Tensor
    outputs: Any
    targets: Tensor


class SupernetProblem:
    """Training and validation loss of a supernet under a recipe's relaxation; the `mixop.bilevel.Problem` of the engine.

    What the network itself draws (drop path, noise) is the same in every pass of a step.

    Within one step, every training loss is taken under the same draw and every validation loss under another one, so that
    a scheme which evaluates a loss twice (finite differences) compares like with like.

    Args:
        net: the supernet.
        task: what it is for; its loss is what both steps descend.
        recipe: regularisers and perturbation are read.
        relaxation: from architecture parameters to mixing weights.
        optimiser: of the weights, for its next step.
        generator: source of the draws.
        memory: what parts carry from step to step.
        fixed: for each group the option of every decision that is made already, by decision: one-hot in every draw and mean.
        precision: of the network's convolutions, ``float32`` or ``bfloat16`` by autocast.
        captured: takes losses of full mixtures in its place, with first derivatives; None if nothing does.
        accumulate: pieces that a batch is computed in, one after the other; losses then have first derivatives only.
        ranks: the processes that divide every batch among them; losses, outputs and gradients are those of the whole batch.

    Attributes:
        progress: time of the architecture, of draws and wraps; the engine sets it.
        seen: loss, outputs and targets of the last forward pass, on the device and without a gradient.
        drawn: the draws of the last upper loss, as the relaxation gave them.
        ran: the options that ran in this step's passes with the network's own weights, by group; None if all did.
    """

    def __init__(
        self,
        net: Supernet,
        task: Task,
        recipe: Recipe,
        relaxation: Relaxation,
        optimiser: torch.optim.Optimizer,
        generator: Generator,
        memory: dict[str, Tensor],
        fixed: Mapping[str, Mapping[int, int]] | None = None,
        *,
        precision: str = "float32",
        captured: CapturedLoss | None = None,
        accumulate: int = 1,
        ranks: Ranks = ALONE,
    ) -> None:
        self.net, self.task, self.recipe, self.relaxation = net, task, recipe, relaxation
        self.optimiser, self.generator, self.memory = optimiser, generator, memory
        self.fixed: Mapping[str, Mapping[int, int]] = {} if fixed is None else fixed
        self.precision, self.captured, self.accumulate, self.ranks = precision, captured, accumulate, ranks
        self.progress = Progress(0, recipe.epochs)
        self.seen = Seen(torch.zeros(()), torch.zeros(()), torch.zeros(()))
        self._carried: dict[int, Any] = {}
        self.drawn: dict[str, Draw] = {}
        self.ran: Active | None = {}
        self._noise = (0, 0)
        self._unseen = draws_unseen(net)
        self._tensors = NamedTensors(net)

    @property
    def space(self) -> Space:
        """The search space."""
        return self.net.space

    @property
    def groups(self) -> tuple[Group, ...]:
        """Every group that has architecture parameters."""
        return self.net.groups

    @property
    def weights(self) -> dict[str, Tensor]:
        """The supernet's weights that learn, by name; what is frozen is a constant to every scheme."""
        return {**self._tensors.learning}

    @property
    def inner(self) -> InnerStep:
        """The step that the weight optimiser takes next; what is not SGD is refused by the schemes that read it."""
        (group,) = self.optimiser.param_groups
        state = self.optimiser.state
        buffers = {
            name: state[p]["momentum_buffer"]
            for name, p in self._tensors.learning.items()
            if p in state and state[p].get("momentum_buffer") is not None
        }
        return InnerStep(
            rate=group["lr"],
            momentum=group.get("momentum", 0.0),
            nesterov=group.get("nesterov", False),
            weight_decay=group["weight_decay"],
            buffers=buffers,
        )

    def begin_step(self, *, like: "SupernetProblem | None" = None) -> None:
        """Fixes the noise of this step's draws, to that of another problem if one is given."""
        self._noise = (draw_seed(self.generator), draw_seed(self.generator)) if like is None else like._noise

    def draw(self, params: Params, generator: Generator | None = None, *, by_cell: bool = True) -> dict[str, Draw]:
        """One draw of every group, a fresh one unless a generator is given.

        Args:
            params: architecture parameters.
            generator: source of the draw.
            by_cell: whether a relaxation that draws by cell does so; False for a draw that all cells share.
        """
        return self._with_fixed(self._sample(params, generator or self.generator, by_cell=by_cell))

    def _sample(self, params: Params, generator: Generator, *, by_cell: bool = True) -> dict[str, Draw]:
        if not (by_cell and self.relaxation.draws_by_cell):
            return self.relaxation.draw_all(params, self.groups, self.progress, generator)
        draws = {}
        for g in self.groups:
            cells = self.net.cells_of(g.name)
            its = [self.relaxation.draw(params[g.name], g, self.progress, generator) for _ in range(max(cells, 1))]
            draws[g.name] = joined(its) if cells else its[0]
        return draws

    def _with_fixed(self, draws: Mapping[str, Draw]) -> dict[str, Draw]:
        return {name: with_fixed(draw, self.fixed.get(name, {})) for name, draw in draws.items()}

    def mean(self, params: Params) -> dict[str, Tensor]:
        """Mean mixing weights of every group."""
        mean = self.relaxation.mean_all(params, self.groups)
        return {name: fix_rows(rows, self.fixed.get(name, {})) for name, rows in mean.items()}

    def draw_loss(self, weights: Mapping[str, Tensor] | None, draws: Mapping[str, Draw], batch: Batch) -> Tensor:
        """The task's loss of a batch under given draws, a mean over its examples.

        Args:
            weights: weights by name; batch-norm statistics then stay as they are. None for the network's own weights,
                whose pass updates the statistics, and whose loss has the terms that the network adds (`mixop.add_loss`).
            draws: a draw of every group.
            batch: inputs and targets.
        """
        mix, active = mix_of(draws)
        mix = upload_all(mix, batch.x.device)
        terms: list[Tensor] = []
        if weights is None:
            self.ran = together(self.ran, active)
        if self.captured is not None and self.net.training and active is None:
            given = None if weights is None or self._own(weights) else weights
            with self._autocast(batch):
                loss, outputs = self.captured(batch, mix, learn=weights is None, given=given)
        elif len(pieces := pieces_of(len(batch.y), self.accumulate)) > 1:
            return self._loss_in_pieces(weights, mix, active, batch, pieces)
        else:
            loss, terms, outputs = self._loss(weights, mix, active, batch, learn=weights is None)
        self.seen = Seen(loss.detach(), detached(outputs), batch.y)
        return total_loss(loss, terms)

    def _loss(
        self, weights: Mapping[str, Tensor] | None, mix: Mix, active: Active | None, batch: Batch, *, learn: bool
    ) -> tuple[Tensor, list[Tensor], Any]:
        """The task's loss of a batch, the terms that the network adds to that of its own weights, and its outputs.

        Args:
            weights: by name; None for the network's own where they are.
            mix: mixing weights.
            active: the options that run.
            batch: inputs and targets.
            learn: whether these are the network's own weights: its statistics then follow, and its terms count.
        """
        time: dict[str, Any] = {"progress": self.progress}
        if self.net.carries:
            time["state"] = () if batch.state is None else batch.state
        with fenced(Generator().manual_seed(self._noise[0] + 1), watch=self._unseen) as source:
            with self._autocast(batch), added_losses() as terms:
                if self.ranks.divide(len(batch.y)):
                    outputs, terms = self._shared_pass(weights, batch.x, mix, active, time, terms, learn=learn)
                else:
                    outputs = self._pass(weights, batch.x, mix, active, time, learn=learn)
            if self.net.carries:
                outputs, state = outputs
                self._carried[id(batch.x)] = detached(state)
            with watched(source, self.task.draws):
                loss = self.task.loss(in_float32(outputs) if self.precision == "bfloat16" else outputs, batch.y)
        return loss, terms if learn else [], outputs

    def _pass(
        self,
        weights: Mapping[str, Tensor] | None,
        x: Tensor,
        mix: Mix,
        active: Active | None,
        time: Mapping[str, Any],
        *,
        learn: bool,
    ) -> Any:
        """What the network gives for a batch."""
        if weights is None:
            return self.net(x, mix, active, **time)
        statistics = {} if learn else self._tensors.buffers()
        return self._tensors.call({**weights, **statistics}, (x, mix, active), dict(time))

    def _shared_pass(
        self,
        weights: Mapping[str, Tensor] | None,
        x: Tensor,
        mix: Mix,
        active: Active | None,
        time: Mapping[str, Any],
        terms: list[Tensor],
        *,
        learn: bool,
    ) -> tuple[Any, list[Tensor]]:
        """The same by all processes together, each of which passes its share; what each gets is that of the whole batch."""
        entered = self.ranks.entered({**(self.weights if weights is None else weights), **_prefixed(mix)})
        mix = {name: entered.pop(_MIX + name) for name in mix}

        def run(x: Tensor, time: Mapping[str, Any]) -> Any:
            return self._pass(entered, x, mix, active, time, learn=learn)

        outputs, share = divided(self.ranks, x, run, time)
        return outputs, [self.ranks.total(term * share.part) for term in terms] if learn else []

    def _loss_in_pieces(
        self, weights: Mapping[str, Tensor] | None, mix: Mix, active: Active | None, batch: Batch, pieces: list[Share]
    ) -> Tensor:
        """The loss with its terms, computed in pieces that are not in memory at once; what is seen is that of the batch."""
        losses: list[Tensor] = []
        seen: list[Any] = []

        def loss_of(tensors: Mapping[str, Tensor], piece: Share) -> Tensor:
            own = {name: tensor for name, tensor in tensors.items() if not name.startswith(_MIX)}
            mixed = {name: tensors[_MIX + name] for name in mix}
            part = Batch(batch.x[piece.rows], batch.y[piece.rows])
            loss, terms, outputs = self._loss(own, mixed, active, part, learn=weights is None)
            losses.append(piece.part * loss.detach())
            seen.append(detached(outputs))
            return total_loss(loss, terms)

        loss = in_pieces(loss_of, {**(self.weights if weights is None else weights), **_prefixed(mix)}, pieces)
        outputs = tree_map(lambda *values: torch.cat(values) if isinstance(values[0], Tensor) else values[0], *seen)
        self.seen = Seen(torch.stack(losses).sum(), outputs, batch.y)
        return loss

    def forget(self) -> None:
        """Forgets what was carried out of the batches of earlier steps, and what ran in them."""
        self._carried.clear()
        self.ran = {}

    def carried(self, batch: Batch) -> Any:
        """What the network carries out of a batch, by the last pass over it; None if it carries nothing."""
        return self._carried.get(id(batch.x))

    def measured(self) -> Totals:
        """What the task measures on the batch of the last forward pass; nobody waits for it before `rewards`."""
        totals = self.task.totals()
        totals.add(self.seen.outputs, self.seen.targets)
        return totals

    def rewards(self, measured: Sequence[Totals]) -> list[float]:
        """The task's first measure of each of several `measured` passes, as a number where larger is better."""
        first = self.task.first
        return [first.rank(values[first.name]) for values in values_of(measured)]

    def _autocast(self, batch: Batch) -> torch.autocast:
        return torch.autocast(batch.x.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _own(self, weights: Mapping[str, Tensor]) -> bool:
        """Whether these are the network's weights where they lie, as constants."""
        own = self.weights
        return all(not w.requires_grad and w.data_ptr() == own[name].data_ptr() for name, w in weights.items())

    def train_loss(self, weights: Mapping[str, Tensor], params: Params, batch: Batch) -> Tensor:
        """The lower loss under this step's training draw."""
        return self.draw_loss(weights, self.draw(params, Generator().manual_seed(self._noise[0])), batch)

    def valid_loss(self, weights: Mapping[str, Tensor], params: Params, batch: Batch) -> Tensor:
        """The upper loss under this step's validation draw, as the relaxation wants it differentiated, and regularisers."""
        self.drawn = self._sample(params, Generator().manual_seed(self._noise[1]))
        draws = self._with_fixed(self.drawn)
        loss = self.relaxation.surrogate(self.draw_loss(weights, draws, batch), draws)
        return loss + self._penalty(self.point(params, mix_of(draws)[0]))

    def joint_loss(self, params: Params, batch: Batch) -> Tensor:
        """The upper loss with its regularisers at the network's own weights: to differentiate in weights and parameters."""
        self.drawn = self._sample(params, Generator().manual_seed(self._noise[1]))
        draws = self._with_fixed(self.drawn)
        return self.draw_loss(None, draws, batch) + self._penalty(self.point(params, mix_of(draws)[0]))

    def penalty(self, params: Params) -> Tensor:
        """The regularisers at the mean mixing weights, a scalar."""
        return self._penalty(self.point(params, self.mean(params)))

    def point(self, params: Params, mix: Mix) -> Point:
        """Where the search stands, for regularisers."""
        return Point(
            params=params,
            relaxation=self.relaxation,
            space=self.space,
            mix=mix,
            progress=self.progress,
            memory=self.memory,
        )

    def _penalty(self, point: Point) -> Tensor:
        first = next(iter(point.params.values()))
        return sum((regulariser(point) for regulariser in self.recipe.regularisers), torch.zeros((), device=first.device))

    def perturbed(self, draws: Mapping[str, Draw], batch: Batch) -> Mapping[str, Draw]:
        """The draws under the recipe's perturbation, with the network in evaluation mode; as they are if it has none."""
        perturbation = self.recipe.perturbation
        if perturbation is None:
            return draws
        fixed = {name: weight.detach() for name, weight in self.weights.items()}
        training = self.net.training
        self.net.eval()
        mix = perturbation(
            mix_of(draws)[0],
            lambda mix: self.draw_loss(fixed, {name: Draw(weights) for name, weights in mix.items()}, batch),
            self.progress,
            self.generator,
        )
        self.net.train(training)
        return {name: Draw(weights) for name, weights in mix.items()}


_MIX = "mix/"
"""Before the name of a group, where its mixing weights stand beside weights: the name of a weight never has a slash."""


def _prefixed(mix: Mix) -> dict[str, Tensor]:
    return {_MIX + name: weights for name, weights in mix.items()}
