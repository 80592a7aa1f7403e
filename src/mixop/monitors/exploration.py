"""How much a search still explores: architectures that are drawn from its distribution after every epoch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError, RunError, unknown
from mixop.core.outside import MalformedError, parse_json
from mixop.core.types import Mix
from mixop.derive.base import derived
from mixop.monitors.base import Action, Column, Continue, Monitor, View, check_whole
from mixop.relax.base import Relaxation
from mixop.spaces.core import Architecture, Group, Space

_DRAWN = "Exploration.drawn."


@dataclass(frozen=True, kw_only=True)
class Exploration(Monitor):
    """Draws architectures after every epoch, keeps them, and counts how many are different; changes nothing.

    A table of trained architectures then says how far apart their accuracies are, see `drawn_architectures`. The column is
    ``distinct_share``, in (0, 1]: 1 where all draws differ, ``1 / samples`` where the search has decided.

    Args:
        samples: architectures of an epoch, >= 2.
        by: ``draw`` samples from the relaxation and takes the option of largest weight in every decision; ``weights`` takes an
            option of every decision with the probability of its mean mixing weight. The two are one distribution for Gumbel
            and one-hot draws. Relaxations that draw nothing, such as the softmax of DARTS, need ``weights``.

    Source: Chen et al. 2021 (arXiv:2006.10355), section 4.4, with 100 draws of the Dirichlet distributions.
    """

    samples: int = 100
    by: Literal["draw", "weights"] = "draw"

    def __post_init__(self) -> None:
        check_whole("samples of Exploration", self.samples, 2)
        if self.by not in ("draw", "weights"):
            raise RecipeError(unknown("way to draw architectures", self.by, ("draw", "weights")))

    def check(self, relaxation: Relaxation, space: Space, weight_decay: float) -> None:
        if self.by == "weights" and not (relaxation.mix_on_simplex and relaxation.independent_decisions):
            raise RecipeError(
                "Exploration(by='weights') takes mean mixing weights as probabilities, which those of "
                f"{type(relaxation).__name__} are not: use by='draw'."
            )
        if self.by == "weights" and any(group.take > 1 for group in space.groups):
            raise RecipeError(
                f"Exploration(by='weights') draws one option of a decision, but {space.name} takes several: use by='draw'."
            )

    def __call__(self, view: View) -> Action:
        if self.by == "draw":
            drawn = [view.draw() for _ in range(self.samples)]
        else:
            mean = view.mean()
            drawn = [view.space.to_native(by_weight(mean, view.space, view.generator)) for _ in range(self.samples)]
        text = bytearray(json.dumps(drawn).encode())
        view.memory[f"{_DRAWN}{view.epoch}"] = torch.frombuffer(text, dtype=torch.uint8)  # memory holds tensors only
        return Continue()

    def columns(self, view: View) -> dict[str, Column]:
        return {"distinct_share": len(set(drawn_architectures(view.memory)[view.epoch])) / self.samples}


def drawn_architectures(memory: Mapping[str, Tensor]) -> dict[int, list[str]]:
    """What `Exploration` has drawn, by epoch from 0, in native notation; nothing where it was not there.

    Args:
        memory: of a search, as a view or a checkpoint has it.

    Raises:
        RunError: if it is damaged.
    """
    kept = {int(name.removeprefix(_DRAWN)): text for name, text in memory.items() if name.startswith(_DRAWN)}
    try:
        return {epoch: parse_json(text.numpy().tobytes()) for epoch, text in sorted(kept.items())}
    except MalformedError as error:
        raise RunError(
            f"The architectures that Exploration drew are damaged ({error}): search again into another --out."
        ) from error


def by_weight(mean: Mix, space: Space, generator: Generator) -> Architecture:
    """An architecture whose decisions take an option with the probability of its mean mixing weight, each by itself.

    Of a group that keeps some edges of every node, the strongest ones are kept, as in a derivation.

    Args:
        mean: mean mixing weights ``(E, O)`` by group, rows on the simplex.
        space: the search space.
        generator: source of the draw, on the CPU.
    """

    def choose(rows: Sequence[Sequence[float]], group: Group) -> Sequence[int]:
        allowed = [[option in group.eligible(e) for option in row.options] for e, row in enumerate(group.decisions)]
        weights = torch.tensor(rows, dtype=torch.float64) * torch.tensor(allowed)
        return torch.multinomial(weights, 1, generator=generator).flatten().tolist()

    return derived(space, mean, choose)
