"""Binary gates: one path open in value, all paths or two of them in the gradient."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError
from mixop.core.types import Draw
from mixop.relax.base import Relaxation
from mixop.relax.sampling import as_paths, one_hot, sample_options, straight_through
from mixop.spaces.core import Group


def restrict(logits: Tensor, kept: Tensor) -> Tensor:
    """Softmax over some options of every row, 0 for the others.

    Args:
        logits: ``(E, O)``.
        kept: indices ``(E, K)`` of the options that share the probability.

    Returns:
        ``(E, O)``, rows on the simplex.
    """
    kept = kept.to(logits.device)
    return torch.zeros_like(logits).scatter(-1, kept, logits.gather(-1, kept).softmax(-1))


@dataclass(frozen=True, kw_only=True)
class BinaryGates(Relaxation):
    """One-hot gates g drawn from ``p = softmax(alpha)``; logits receive ``sum_j dL/dg_j * p_j * (delta_ij - p_i)``.

    A decision whose open gate is an absent option (``none``) receives no gradient. Closed paths run for their ``dL/dg_j``
    alone, so the weight step should draw `Categorical` on the same logits, which runs the open path only.

    Args:
        paths: ``full`` runs all options, which makes the gradient exact; ``two`` runs two, drawn without replacement by p,
            with p renormalised over them and one of them open. Their step then leaves the probabilities of the others
            as they were (`after_step`).

    Source: Cai et al. 2019 (arXiv:1812.00332), eqs. 2-4 and section 3.2.1.
    """

    on_host: ClassVar[bool] = True

    paths: Literal["full", "two"] = "full"

    def __post_init__(self) -> None:
        if self.paths not in ("full", "two"):
            raise RecipeError(f"paths of BinaryGates must be 'full' or 'two', got {self.paths!r}.")

    def draw(self, params: Tensor, group: Group, progress: float, generator: Generator) -> Draw:
        count = min(2, group.shape[1]) if self.paths == "two" else group.shape[1]
        running = sample_options(params, generator, count=count)
        if self.paths == "two":
            pair = params.detach().cpu().gather(-1, running)
            opened = running.gather(-1, sample_options(pair, generator))
        else:
            opened = running[:, :1]
        absent = [group.is_absent(group.decisions[e].options[o]) for e, o in enumerate(opened[:, 0].tolist())]
        soft = restrict(params, running).masked_fill(torch.tensor(absent, device=params.device)[:, None], 0.0)
        weights = straight_through(one_hot(opened, params), soft)
        return Draw(weights, active=as_paths(running) if self.paths == "two" else None)

    def mean(self, params: Tensor, group: Group) -> Tensor:
        return params.softmax(-1)

    def after_step(self, before: Tensor, after: Tensor, draw: Draw, group: Group) -> Tensor:
        """Options that did not run keep their logits; a common shift of the two keeps ``sum exp`` over both as it was."""
        if draw.active is None:
            return after
        running = torch.tensor(draw.active, device=after.device)
        old, new = before.gather(-1, running), after.gather(-1, running)
        shift = new.logsumexp(-1, keepdim=True) - old.logsumexp(-1, keepdim=True)
        return before.scatter(-1, running, new - shift)
